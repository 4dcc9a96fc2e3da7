package wsauth

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// TestSocketMemory checks that the guard uses at most 1 KB for an open socket,
// including the registry and the timer, but not the connection, the handler's
// goroutine and the claims.
func TestSocketMemory(t *testing.T) {
	const n = 10_000
	claims := make([]*token.Claims, n)
	for i := range claims {
		claims[i] = &token.Claims{
			Subject: fmt.Sprint("user-", i), ID: fmt.Sprint("token-", i), SessionID: fmt.Sprint("session-", i),
			ExpiresAt: time.Now().Add(time.Hour),
		}
	}
	sockets := make([]*Socket, n)
	g := &Guard{now: time.Now, open: newRegistries(Limits{PerSubject: 10})}
	before := heap()
	for i := range sockets {
		s := &Socket{guard: g, remote: "192.0.2.1:1234"}
		s.identity.claims.Store(claims[i])
		s.startTimer()
		if _, err := g.open.sockets.admit(s); err != nil {
			t.Fatal(err)
		}
		sockets[i] = s
	}
	each := float64(heap()-before) / n
	t.Logf("%.0f bytes for each socket", each)
	if each > 1000 || each < 100 {
		t.Errorf("%.0f bytes for each socket", each)
	}
	for _, s := range sockets {
		s.expiry.timer.Stop()
		g.open.sockets.forget(s)
	}
	for kind, names := range g.open.sockets.rings {
		if len(names) > 0 {
			t.Errorf("%d names of kind %d are left", len(names), kind)
		}
	}
}

// TestRenewedSocketHasOneName checks that a renewed socket is found by its new
// token, not by the old one, and that nothing is left of it after its end.
func TestRenewedSocketHasOneName(t *testing.T) {
	g := &Guard{now: time.Now, open: newRegistries(Limits{})}
	var all []*Socket
	for range 3 { // with one token
		s := &Socket{guard: g, remote: "192.0.2.1:1234"}
		s.identity.claims.Store(&token.Claims{Subject: "ada", ID: "old", SessionID: "s", ExpiresAt: time.Now().Add(time.Hour)})
		s.startTimer()
		if _, err := g.open.sockets.admit(s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	names := func() map[string]int {
		sizes := map[string]int{}
		for id, of := range g.open.sockets.rings[byToken] {
			sizes[id] = of.all
		}
		return sizes
	}
	for i, want := range []map[string]int{{"old": 2, "new": 1}, {"old": 1, "new": 2}, {"new": 3}} {
		next := *all[i].Claims()
		next.ID = "new"
		if err := g.open.sockets.rename(all[i], &next); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, names()); diff != "" {
			t.Errorf("after %d renewals (- want, + found):\n%s", i+1, diff)
		}
	}
	g.open.sockets.leave(all[0])
	last := *all[0].Claims()
	last.ID = "last"
	if err := g.open.sockets.rename(all[0], &last); err != nil {
		t.Fatal(err)
	}
	for id, leaving := range map[string]int{"new": 0, "last": 1} {
		if got := g.open.sockets.rings[byToken][id].leaving; got != leaving {
			t.Errorf("%d of %s are leaving, want %d", got, id, leaving)
		}
	}
	for _, s := range all {
		s.expiry.timer.Stop()
		g.open.sockets.forget(s)
	}
	if len(names()) > 0 {
		t.Errorf("%v is left", names())
	}
}

// TestSocketHasTwoNames checks that a socket whose user has a second name, the
// IssuerSubject, is found once under each of the two, and that nothing is left
// of it after its end.
func TestSocketHasTwoNames(t *testing.T) {
	g := &Guard{now: time.Now, open: newRegistries(Limits{})}
	open := func(subject, issuer, sid string) *Socket {
		s := &Socket{guard: g, remote: "192.0.2.1:1234"}
		s.identity.claims.Store(&token.Claims{Subject: subject, IssuerSubject: issuer, SessionID: sid, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)})
		s.startTimer()
		if _, err := g.open.sockets.admit(s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	all := []*Socket{open("ada", "248", "s"), open("bob", "249", ""), open("248", "", ""), open("same", "same", "")}
	for id, want := range map[string][]int{"ada": {0}, "248": {2, 0}, "bob": {1}, "249": {1}, "same": {3}, "": nil, "x": nil} {
		for target, sessionless := range map[store.Target]bool{store.TargetSubject: false, store.TargetSessionless: true} {
			var wanted []*Socket
			for _, i := range want {
				if !sessionless || i > 0 {
					wanted = append(wanted, all[i])
				}
			}
			got := g.open.sockets.concerned(store.Revocation{Target: target, ID: id, Before: time.Now(), Expires: time.Now().Add(time.Hour)})
			if !slices.Equal(got, wanted) {
				t.Errorf("%v of %q: %d sockets, want %d", target, id, len(got), len(wanted))
			}
		}
	}
	for _, next := range []token.Claims{{Subject: "ada", IssuerSubject: "250"}, {Subject: "ada"}, {Subject: "248", IssuerSubject: "248"}} {
		if err := checkSuccessor(all[0].Claims(), &next); !errors.Is(err, NotAuthorized) {
			t.Errorf("%v replaces the claims of the socket: %v", next, err)
		}
	}
	for _, s := range all {
		s.expiry.timer.Stop()
		g.open.sockets.forget(s)
	}
	for kind, names := range g.open.sockets.rings {
		if len(names) > 0 {
			t.Errorf("%d names of kind %d are left", len(names), kind)
		}
	}
}

// TestTicketThatIsTooLong checks that a ticket too long for any store is an
// error of the request, not of the store.
func TestTicketThatIsTooLong(t *testing.T) {
	key, err := token.GenerateKey(token.HS256)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := token.NewKeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := token.NewVerifier(token.VerifierConfig{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(Config{Verifier: verifier, Tickets: memory.New(store.Limits{}), Extractors: []Extractor{Ticket{}}})
	if err != nil {
		t.Fatal(err)
	}
	claims := func(n int) *token.Claims {
		return &token.Claims{Subject: "ada", ExpiresAt: time.Now().Add(time.Hour), Roles: strings.Fields(strings.Repeat("role ", n))}
	}
	if _, err := g.IssueTicket(t.Context(), claims(10_000), TicketFor{Path: "/"}); err != nil {
		t.Errorf("70 KB: %v", err)
	}
	if _, err := g.IssueTicket(t.Context(), claims(30_000), TicketFor{Path: "/"}); !errors.Is(err, InvalidRequest) || !errors.Is(err, store.ErrInvalid) {
		t.Errorf("210 KB: %v", err)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // the first run may leave objects with finalizers
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestAnonymousPlaces checks that ended sockets do not count against the
// maximum, but are bounded while their connections are open.
func TestAnonymousPlaces(t *testing.T) {
	const most = 4
	for a, want := range map[anonymous]bool{
		{}: false, {waiting: 3}: false, {waiting: 4}: true, {refused: 4}: true, {waiting: 2, refused: 2}: true, {waiting: 1, refused: 2}: false,
		{leaving: 7}: false, {leaving: 8}: true, {waiting: 1, leaving: 6}: false, {waiting: 1, leaving: 7}: true, {refused: 3, leaving: 4}: false, {refused: 3, leaving: 5}: true,
	} {
		if got := a.full(most); got != want {
			t.Errorf("%+v of %d is full: %v", a, most, got)
		}
	}
	r := newRegistry(Limits{Unauthenticated: most, UnauthenticatedPerAddress: most})
	r.closing = true
	if _, err := r.admit(&Socket{waits: true}); !errors.Is(err, Restarting) {
		t.Errorf("while it drains: %v", err)
	}
}

// TestConfigAtItsBounds checks that the last valid value is accepted, and that
// the error for the first invalid one names it.
func TestConfigAtItsBounds(t *testing.T) {
	origins := func(all ...string) Config { return Config{Origins: all} }
	domain := func(d string) Config { return Config{Extractors: []Extractor{Cookies{Domain: d}}} }
	tickets := func(s store.Tickets) Config { return Config{Extractors: []Extractor{Ticket{}}, Tickets: s} }
	for name, tt := range map[string]struct {
		config Config
		fault  string // "" for none
	}{
		"the first port":   {origins("https://app.example:1"), ""},
		"the last port":    {origins("https://app.example:65535"), ""},
		"port 0":           {origins("https://app.example:0"), "the port is not from 1 to 65535"},
		"port 65536":       {origins("https://app.example:65536"), "the port is not from 1 to 65535"},
		"a domain":         {domain("app.example"), ""},
		"no domain":        {domain("app example"), "is not a valid cookie domain"},
		"tickets":          {tickets(memory.New(store.Limits{})), ""},
		"without tickets":  {tickets(nil), "Config.Tickets: required"},
		"tickets of a nil": {tickets((*memory.Store)(nil)), "Config.Tickets: required"},
	} {
		tt.config.Verifier = refusingVerifier{}
		guard, err := New(tt.config)
		if (err == nil) != (tt.fault == "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%s: %v, want %q", name, err, tt.fault)
		}
		if guard != nil {
			_ = guard.Shutdown(t.Context())
		}
	}
	extractors := []Extractor{Header{}, Query{Name: "token"}}
	guard, err := New(Config{Verifier: refusingVerifier{}, Extractors: extractors})
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Shutdown(t.Context()) //nolint:errcheck // nothing is open
	extractors[0] = FirstMessage{}
	if _, same := guard.config.Extractors[0].(FirstMessage); same {
		t.Error("the caller's list is the guard's")
	}
}

// TestSocketSize checks that a Socket stays within its size class.
func TestSocketSize(t *testing.T) {
	if size := unsafe.Sizeof(Socket{}); size > 480 {
		t.Errorf("a Socket has %d bytes", size)
	}
}
