package attack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wsauth"
	"wsauth/internal/httpx"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

const otherOrigin = "https://other.example"

// ticketConfig returns a configuration with extractors for tickets and headers.
func ticketConfig(t testing.TB) wsauth.Config {
	t.Helper()
	return wsauth.Config{
		Verifier:   newVerifier(t, 0),
		Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Ticket{}},
		Tickets:    memory.New(store.Limits{}),
		Origins:    []string{origin, otherOrigin},
	}
}

// ticket issues a ticket for a page of an allowed origin.
func ticket(t testing.TB, g *wsauth.Guard, c *token.Claims, path string) string {
	t.Helper()
	text, err := g.IssueTicket(t.Context(), c, wsauth.TicketFor{Path: path, Origin: origin})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// byTicket returns a handshake of a page of that origin, with a ticket.
func byTicket(path, text string) string { return upgrade(path+"?ticket="+text, fromOurs) }

// TestTicketUse checks how invalid uses of a ticket are refused, and whether
// the refusal uses the ticket up: T2, T4, T6, L9, L11, J34 and codes of family
// C. A refusal before the store is asked must leave the ticket unused.
// Otherwise a page of another origin could destroy tickets that it cannot use.
func TestTicketUse(t *testing.T) {
	x := newTarget(t, ticketConfig(t))
	alice := issue(t, token.TypeAccess, "alice", token.Options{})
	refresh := issue(t, token.TypeRefresh, "alice", token.Options{}).Raw
	const (
		malformed = wsauth.InvalidRequest
		invalid   = wsauth.TokenInvalid
		foreign   = wsauth.OriginNotAllowed
		missing   = wsauth.TokenMissing
	)
	at := func(target string, lines ...string) func(string) string {
		return func(k string) string { return upgrade(strings.ReplaceAll(target, "{}", k), append(lines, fromOurs)...) }
	}
	from := func(o string) func(string) string {
		return func(k string) string { return upgrade("/access?ticket="+k, "Origin: "+o) }
	}
	cases := []struct {
		name  string
		raw   func(ticket string) string
		want  wsauth.Reason // "" if the socket opens
		burnt bool
	}{
		{"L9/replay", at("/access?ticket={}"), "", true},
		{"T4/among_others", at("/access?a=b&ticket={}&c"), "", true},
		{"T4/escaped_value", func(k string) string { return byTicket("/access", fmt.Sprintf("%%%02x", k[0])+k[1:]) }, "", true},
		{"T4/twice", at("/access?ticket={}&ticket=x"), malformed, false},
		{"T4/twice_reversed", at("/access?ticket=x&ticket={}"), malformed, false},
		{"T4/twice_equal", at("/access?ticket={}&ticket={}"), malformed, false},
		{"T4/empty_and_good", at("/access?ticket=&ticket={}"), malformed, false},
		{"T4/semicolon", at("/access?ticket={};ticket=x"), malformed, false},
		{"T4/semicolon_before", at("/access?a=b;ticket={}"), malformed, false},
		{"T4/semicolon_after", at("/access?ticket={};a=b"), malformed, false},
		{"T4/escaped_name", at("/access?%74icket={}"), malformed, false},
		{"T4/and_escaped_name", at("/access?ticket={}&%74icket=x"), malformed, false},
		{"T4/bad_escape", at("/access?ticket={}%zz"), malformed, false},
		{"T4/space_in_name", at("/access?+ticket={}"), malformed, false},
		{"T4/another_case", at("/access?Ticket={}"), missing, false},
		{"T4/empty", at("/access?ticket="), missing, false},
		{"T2/header_too", at("/access?ticket={}", bearer(alice.Raw)), malformed, false},
		{"T2/bad_header_too", at("/access?ticket={}", bearer("x")), malformed, false},
		{"T5/as_access_token", at("/access?access_token={}"), malformed, false},
		{"T5/ticket_and_token", at("/access?ticket={}&token=" + alice.Raw), malformed, false},
		{"T6/fragment", at("/access?ticket={}#x"), malformed, false},
		{"Q13/plain", func(k string) string { return plain("GET", "/access?ticket="+k) }, malformed, false},
		{"Q13/post", func(k string) string { return plain("POST", "/access?ticket="+k, "Content-Length: 0") }, malformed, false},
		{"Q13/h2c", func(k string) string {
			return plain("GET", "/access?ticket="+k, "Connection: Upgrade", "Upgrade: h2c")
		}, malformed, false},
		{"Q13/optional", func(k string) string { return plain("GET", "/optional?ticket="+k) }, malformed, false},
		{"J34/ticket_as_token", at("/access", "Authorization: Bearer {}"), invalid, false},
		{"J34/token_as_ticket", at("/access?ticket=" + alice.Raw), invalid, false},
		{"J34/refresh_token_as_ticket", at("/access?ticket=" + refresh), invalid, false},
		{"J34/lower_case", func(k string) string { return byTicket("/access", strings.ToLower(k)) }, invalid, false},
		{"J34/shorter", func(k string) string { return byTicket("/access", k[:len(k)-1]) }, invalid, false},
		{"J34/prefix_only", at("/access?ticket=wst_"), invalid, false},
		{"J34/cut_in_the_prefix", func(k string) string { return byTicket("/access", k[1:]) }, invalid, false},
		{"J34/without_prefix", func(k string) string { return byTicket("/access", strings.TrimPrefix(k, httpx.TicketPrefix)) }, invalid, false},
		{"J34/prefix_in_capitals", func(k string) string { return byTicket("/access", strings.ToUpper(k)) }, invalid, false},
		{"J34/longer", at("/access?ticket={}A"), invalid, false},
		{"J34/white_space", at("/access?ticket={}%20"), invalid, false},
		{"J34/newline", at("/access?ticket={}%0a"), invalid, false},
		{"J34/nul", at("/access?ticket=%00{}"), invalid, false},
		{"J34/60KiB", at("/access?ticket={}" + strings.Repeat("A", 60<<10)), invalid, false},
		{"L11/other_path", at("/optional?ticket={}"), invalid, true},
		{"L11/longer_path", at("/path/x?ticket={}"), invalid, true},
		{"L11/other_origin", from(otherOrigin), invalid, true},
		{"L11/no_origin", func(k string) string { return upgrade("/access?ticket=" + k) }, invalid, true},
		{"H9/pipelined", func(k string) string { return byTicket("/access", k) + "\x81\x80abcd" }, wsauth.InvalidHandshake, true},
		{"H1/version", func(k string) string {
			return strings.Replace(byTicket("/access", k), "Version: 13", "Version: 8", 1)
		}, wsauth.VersionNotSupported, false},
		{"H2/key", func(k string) string { return strings.Replace(byTicket("/access", k), "dGhl", "", 1) }, wsauth.InvalidHandshake, false},
		{"H3/post", func(k string) string { return strings.Replace(byTicket("/access", k), "GET", "POST", 1) }, wsauth.MethodNotAllowed, false},
		{"C8/upper_case", from("HTTPS://APP.EXAMPLE"), "", true},
		{"C7/two_lines", at("/access?ticket={}", fromOurs), foreign, false},
		{"C2/null", from("null"), foreign, false},
		{"C2/empty", from(""), foreign, false},
		{"C3/other_site", from("https://evil.example"), foreign, false},
		{"C4/suffix", from(origin + ".evil"), foreign, false},
		{"C4/userinfo", from(origin + "@evil"), foreign, false},
		{"C4/trailing_dot", from(origin + "."), foreign, false},
		{"C5/port", from(origin + ":8443"), foreign, false},
		{"C6/http", from("http://app.example"), foreign, false},
		{"C7/list", from(origin + " https://evil.example"), foreign, false},
		{"C8/path", from(origin + "/access"), foreign, false},
		{"C9/cyrillic", from("https://аpp.example"), foreign, false},
		{"C10/sibling", from("https://blog.app.example"), foreign, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			k := ticket(t, x.guard, alice.Claims, "/access")
			raw := strings.ReplaceAll(c.raw(k), "{}", k)
			a := x.send(t, raw)
			if c.want == "" {
				if seen := x.wantSuccess(t, a); strings.Contains(seen, k) || strings.Contains(seen, "ticket") {
					t.Errorf("R6: the handler sees the ticket in\n%s", seen)
				}
			} else {
				x.wantRefusal(t, a, c.want, k, alice.Raw)
			}
			again := x.send(t, byTicket("/access", k))
			if c.burnt {
				x.wantRefusal(t, again, invalid, k)
				return
			}
			x.wantSuccess(t, again)
		})
	}
	t.Run("L11/issued_without_origin", func(t *testing.T) {
		for raw, want := range map[string]wsauth.Reason{upgrade("/access?ticket={}"): "", upgrade("/access?ticket={}", fromOurs): invalid} {
			k, err := x.guard.IssueTicket(t.Context(), alice.Claims, wsauth.TicketFor{Path: "/access"})
			if err != nil {
				t.Fatal(err)
			}
			a := x.send(t, strings.ReplaceAll(raw, "{}", k))
			if want == "" {
				x.wantSuccess(t, a)
				continue
			}
			x.wantRefusal(t, a, want, k)
		}
	})
}

// TestTicketByClose checks that a used ticket is refused by a close frame (L9,
// R6).
func TestTicketByClose(t *testing.T) {
	c := ticketConfig(t)
	c.Refusal = wsauth.RefuseClose
	x := newTarget(t, c)
	k := ticket(t, x.guard, issue(t, token.TypeAccess, "alice", token.Options{}).Claims, "/access")
	x.wantSuccess(t, x.send(t, byTicket("/access", k)))
	for name, raw := range map[string]string{"L9/replay": byTicket("/access", k), "L9/never_issued": byTicket("/access", k[:25]+"!")} {
		t.Run(name, func(t *testing.T) {
			a := x.send(t, raw)
			if code, reason := a.closeFrame(t); code != 3000 || reason != "token_invalid" {
				t.Errorf("closed with %d %q", code, reason)
			}
			x.wantSilence(t, a, k)
		})
	}
	if err := x.guard.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if logged := x.log.Take(); strings.Contains(logged, k) {
		t.Errorf("R6: the log has the ticket:\n%s", logged)
	}
}

// TestTicketKinds checks that a ticket opens the same sockets as its token, and
// no others (J34).
func TestTicketKinds(t *testing.T) {
	x := newTarget(t, ticketConfig(t))
	for kind, parent := range map[string]*token.Token{
		"access":  issue(t, token.TypeAccess, "alice", token.Options{}),
		"fresh":   issue(t, token.TypeAccess, "alice", token.Options{Fresh: true}),
		"refresh": issue(t, token.TypeRefresh, "alice", token.Options{}),
	} {
		for _, q := range requirements {
			t.Run(fmt.Sprintf("J34/%s_for_%s", kind, q), func(t *testing.T) {
				path := "/" + q.String()
				a := x.send(t, byTicket(path, ticket(t, x.guard, parent.Claims, path)))
				switch {
				case (kind == "refresh") != (q == wsauth.Refresh):
					x.wantRefusal(t, a, wsauth.WrongTokenType)
				case kind == "access" && q == wsauth.Fresh:
					x.wantRefusal(t, a, wsauth.FreshTokenRequired)
				default:
					x.wantSuccess(t, a)
				}
			})
		}
	}
}

// TestTicketExpiry checks, to the nanosecond, that a ticket expires after 30
// seconds or with its token (L11).
func TestTicketExpiry(t *testing.T) {
	for name, c := range map[string]struct {
		ttl, leeway, after time.Duration
		want               wsauth.Reason
	}{
		"L11/just_before":         {time.Hour, 0, wsauth.TicketLife - 1, ""},
		"L11/at_its_end":          {time.Hour, 0, wsauth.TicketLife, wsauth.TokenInvalid},
		"L11/long_after":          {time.Hour, 0, 10 * time.Minute, wsauth.TokenInvalid},
		"L11/parent_before":       {10 * time.Second, 0, 10*time.Second - 1, ""},
		"L11/parent_ended":        {10 * time.Second, 0, 10 * time.Second, wsauth.TokenInvalid},
		"L11/parent_with_leeway":  {10 * time.Second, 5 * time.Second, 15*time.Second - 1, ""},
		"L11/parent_after_leeway": {10 * time.Second, 5 * time.Second, 15 * time.Second, wsauth.TokenInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := ticketConfig(t)
				config.Verifier = newVerifier(t, c.leeway)
				guard := must(wsauth.New(config))
				raw := issue(t, token.TypeAccess, "alice", token.Options{TTL: c.ttl}).Raw
				parent, err := guard.Check(request(t, plain("POST", "/ticket", bearer(raw))), wsauth.Access)
				if err != nil {
					t.Fatal(err)
				}
				k := ticket(t, guard, parent, "/access")
				time.Sleep(c.after)
				claims, err := guard.Check(request(t, byTicket("/access", k)), wsauth.Access)
				if reasonOf(err) != c.want {
					t.Fatalf("Check: %v, want %q", err, c.want)
				}
				if c.want == "" && !claims.ValidUntil().Equal(parent.ValidUntil()) {
					t.Errorf("the socket would live until %v, its token until %v", claims.ValidUntil(), parent.ValidUntil())
				}
			})
		})
	}
	t.Run("L11/a_store_that_keeps_it_longer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			config := ticketConfig(t)
			config.Tickets = ticketsWithoutExpiry{config.Tickets}
			guard := must(wsauth.New(config))
			k := ticket(t, guard, issue(t, token.TypeAccess, "alice", token.Options{TTL: 10 * time.Second}).Claims, "/access")
			time.Sleep(10 * time.Second)
			if _, err := guard.Check(request(t, byTicket("/access", k)), wsauth.Access); !errors.Is(err, wsauth.TokenExpired) {
				t.Errorf("Check: %v", err)
			}
		})
	})
}

// A ticketsWithoutExpiry is a store that keeps tickets forever.
type ticketsWithoutExpiry struct{ store.Tickets }

func (f ticketsWithoutExpiry) PutTicket(ctx context.Context, k store.TicketKey, v []byte, _ time.Time) error {
	return f.Tickets.PutTicket(ctx, k, v, time.Now().Add(time.Hour))
}

// TestTicketOfRevokedParent checks that revoking a token also revokes its
// tickets, and ends their sockets.
func TestTicketOfRevokedParent(t *testing.T) {
	for name, c := range map[string]struct {
		revocation store.Revocation
		end        wsauth.Reason // of the open socket
	}{
		"L4/token":      {store.Revocation{Target: store.TargetToken, ID: "the-id"}, wsauth.TokenRevoked},
		"L4/session":    {store.Revocation{Target: store.TargetSession, ID: "the-login"}, wsauth.SessionEnded},
		"L4/subject":    {store.Revocation{Target: store.TargetSubject, ID: "alice", Before: time.Now().Add(time.Minute)}, wsauth.SessionEnded},
		"L4/everything": {store.Revocation{Target: store.TargetAll, Before: time.Now().Add(time.Minute)}, wsauth.SessionEnded},
	} {
		t.Run(name, func(t *testing.T) {
			c.revocation.Expires = time.Now().Add(time.Hour)
			config := ticketConfig(t)
			config.Revocations = memory.New(store.Limits{})
			x := newTarget(t, config)
			parent, err := x.guard.Check(request(t, plain("POST", "/ticket", bearer(signed(claims())))), wsauth.Access)
			if err != nil {
				t.Fatal(err)
			}
			used, unused := ticket(t, x.guard, parent, "/access"), ticket(t, x.guard, parent, "/access")
			open := x.send(t, byTicket("/access", used))
			if n, err := x.guard.Revoke(t.Context(), c.revocation); n != 1 || err != nil {
				t.Errorf("Revoke: %d sockets, %v", n, err)
			}
			if code, reason := open.closeFrame(t); code != 3000 || reason != string(c.end) {
				t.Errorf("closed with %d %q", code, reason)
			}
			x.takeRequests()
			x.wantRefusal(t, x.send(t, byTicket("/access", unused)), wsauth.TokenRevoked, unused, used)
		})
	}
}

// TestTicketWithoutOrigin checks that a ticket that was issued without an
// Origin opens sockets without an Origin. If AllowedOrigins is set, it also
// opens sockets with any allowed Origin. A ticket that was issued with an
// Origin opens only sockets with the same Origin.
func TestTicketWithoutOrigin(t *testing.T) {
	const other = "https://other.example"
	alice := issue(t, token.TypeAccess, "alice", token.Options{}).Claims
	configs := map[string]func(*wsauth.Config){
		"named": func(c *wsauth.Config) { c.Origins = []string{origin, other} },
		"any": func(c *wsauth.Config) {
			c.Origins, c.AnyOrigin = nil, true
			c.Extractors = []wsauth.Extractor{wsauth.Ticket{}}
		},
		"unsafe": func(c *wsauth.Config) { c.Origins, c.InsecureAnyOrigin = nil, true },
	}
	for name, change := range configs {
		c := ticketConfig(t)
		change(&c)
		x := newTarget(t, c)
		for _, f := range []wsauth.TicketFor{{AllowedOrigins: true}, {}, {Origin: origin, AllowedOrigins: true}, {Origin: origin}} {
			for _, from := range []string{"", origin, other, "https://evil.example", "null"} {
				allowed := name != "named" || from == "" || from == origin || from == other
				f.Path = "/access"
				k, err := x.guard.IssueTicket(t.Context(), alice, f)
				if err != nil {
					t.Fatal(err)
				}
				lines := []string{"Origin: " + from}
				if from == "" {
					lines = nil
				}
				a := x.send(t, upgrade("/access?ticket="+k, lines...))
				switch {
				case !allowed:
					x.wantRefusal(t, a, wsauth.OriginNotAllowed)
				case from == f.Origin || f.Origin == "" && f.AllowedOrigins:
					x.wantSuccess(t, a)
				default:
					x.wantRefusal(t, a, wsauth.TokenInvalid)
				}
			}
		}
		k, err := x.guard.IssueTicket(t.Context(), alice, wsauth.TicketFor{Path: "/access", AllowedOrigins: true})
		if err != nil {
			t.Fatal(err)
		}
		if a := x.send(t, upgrade("/access?ticket="+k, fromOurs, "Origin: "+other)); a.StatusCode == http.StatusSwitchingProtocols {
			t.Errorf("%s: two Origin fields open a socket", name)
		}
	}
}

// A brokenTickets is a store of tickets that returns fixed results.
type brokenTickets struct {
	value []byte
	err   error
}

func (b brokenTickets) PutTicket(context.Context, store.TicketKey, []byte, time.Time) error {
	return b.err
}

func (b brokenTickets) TakeTicket(context.Context, store.TicketKey) ([]byte, error) {
	return b.value, b.err
}

// TestTicketStoreFails checks that no socket opens if the store fails or
// returns invalid data.
func TestTicketStoreFails(t *testing.T) {
	alice := issue(t, token.TypeAccess, "alice", token.Options{})
	for name, c := range map[string]struct {
		store brokenTickets
		want  wsauth.Reason
	}{
		"D2/down":           {brokenTickets{err: errors.New("down")}, wsauth.StoreUnavailable},
		"D2/late":           {brokenTickets{err: context.DeadlineExceeded}, wsauth.StoreUnavailable},
		"D11/nothing":       {brokenTickets{}, wsauth.InternalError},
		"D11/null":          {brokenTickets{value: []byte(`null`)}, wsauth.InternalError},
		"D11/no_claims":     {brokenTickets{value: []byte(`{"path":"/access","origin":"` + origin + `"}`)}, wsauth.InternalError},
		"D11/broken_claims": {brokenTickets{value: []byte(`{"path":"/access","origin":"` + origin + `","claims":"AAAAAAAAAAB7fQ=="}`)}, wsauth.InternalError},
	} {
		t.Run(name, func(t *testing.T) {
			config := ticketConfig(t)
			config.Tickets = c.store
			x := newTarget(t, config)
			issued := ticket(t, newTarget(t, ticketConfig(t)).guard, alice.Claims, "/access")
			k, err := x.guard.IssueTicket(t.Context(), alice.Claims, wsauth.TicketFor{Path: "/access"})
			if (c.store.err != nil) != errors.Is(err, wsauth.StoreUnavailable) || (err != nil) == (k != "") {
				t.Errorf("IssueTicket: %q, %v", k, err)
			}
			x.wantRefusal(t, x.send(t, byTicket("/access", issued)), c.want, strings.TrimPrefix(issued, httpx.TicketPrefix))
		})
	}
	t.Run("R2/full", func(t *testing.T) {
		config := ticketConfig(t)
		config.Tickets = memory.New(store.Limits{Tickets: 2})
		x := newTarget(t, config)
		k := ticket(t, x.guard, alice.Claims, "/access")
		ticket(t, x.guard, alice.Claims, "/access")
		if _, err := x.guard.IssueTicket(t.Context(), alice.Claims, wsauth.TicketFor{Path: "/access"}); !errors.Is(err, wsauth.StoreUnavailable) {
			t.Errorf("IssueTicket: %v", err)
		}
		x.wantSuccess(t, x.send(t, byTicket("/access", k)))
		ticket(t, x.guard, alice.Claims, "/access")
	})
}

// TestTicketWithCookies checks that a ticket takes precedence over cookies,
// since a page cannot stop the browser from sending them. The cookies then need
// no CSRF value, and the handler does not see them. A ticket with any other
// credential is refused.
func TestTicketWithCookies(t *testing.T) {
	for name, order := range map[string][]wsauth.Extractor{
		"ticket first":  {wsauth.Ticket{}, wsauth.Cookies{}, wsauth.Header{}},
		"cookies first": {wsauth.Header{}, wsauth.Cookies{}, wsauth.Ticket{}},
	} {
		t.Run(name, func(t *testing.T) {
			c := ticketConfig(t)
			c.Extractors = order
			x := newTarget(t, c)
			alice := issue(t, token.TypeAccess, "alice", token.Options{})
			bob := issue(t, token.TypeAccess, "bob", token.Options{CSRF: true})
			open := func(lines ...string) *answer {
				return x.send(t, upgrade("/access?ticket="+ticket(t, x.guard, alice.Claims, "/access"), append(lines, fromOurs)...))
			}
			seen := x.wantSuccess(t, open(cookie(bob.Raw)))
			if strings.Contains(seen, bob.Raw) || strings.Contains(seen, "ticket=") {
				t.Errorf("the handler saw %q", seen)
			}
			for s := range x.guard.Sockets(wsauth.Filter{Subject: "bob"}) {
				t.Errorf("the socket is that of %v", s.Claims())
			}
			x.wantRefusal(t, open(bearer(alice.Raw)), wsauth.InvalidRequest)
			x.wantRefusal(t, open(cookie(bob.Raw), bearer(alice.Raw)), wsauth.InvalidRequest)
			x.wantRefusal(t, x.send(t, upgrade("/access?ticket=wst_AAAA", cookie(bob.Raw), fromOurs)), wsauth.TokenInvalid)
			// This parameter is not a ticket and belongs to the application, so
			// the cookie needs its CSRF value.
			x.wantRefusal(t, x.send(t, upgrade("/access?ticket=ST-1-AAAA", cookie(bob.Raw), fromOurs)), wsauth.CSRFMismatch)
			seen = x.wantSuccess(t, x.send(t, upgrade("/access?ticket=ST-1-AAAA", cookie(bob.Raw), csrf(bob.Claims.CSRF), fromOurs)))
			if !strings.Contains(seen, "/access?ticket=ST-1-AAAA") {
				t.Errorf("the handler does not see the application's ticket: %q", seen)
			}
		})
	}
}

// countedTickets counts the calls of TakeTicket.
type countedTickets struct {
	store.Tickets
	taken *atomic.Int64
}

func (c countedTickets) TakeTicket(ctx context.Context, key store.TicketKey) ([]byte, error) {
	c.taken.Add(1)
	return c.Tickets.TakeTicket(ctx, key)
}

// TestR17_ForgedTickets checks that only tickets made with the key of the
// guard cost the store a call.
func TestR17_ForgedTickets(t *testing.T) {
	var taken atomic.Int64
	shared := countedTickets{memory.New(store.Limits{}), &taken}
	node := func(key string) *target {
		c := ticketConfig(t)
		c.Tickets, c.TicketKey = shared, []byte(key)
		return newTarget(t, c)
	}
	own, other := strings.Repeat("k", 32), strings.Repeat("o", 32)
	x := node(own)
	alice := issue(t, token.TypeAccess, "alice", token.Options{})
	good := ticket(t, x.guard, alice.Claims, "/access")
	for i := len(httpx.TicketPrefix); i < len(good); i++ {
		letter := "A"
		if good[i] == 'A' {
			letter = "B"
		}
		x.wantRefusal(t, x.send(t, byTicket("/access", good[:i]+letter+good[i+1:])), wsauth.TokenInvalid)
	}
	for _, forged := range []string{
		good[:30],
		good + "A",
		good[:len(good)-1],
		httpx.TicketPrefix + strings.Repeat("A", 42),
		httpx.TicketPrefix + strings.Repeat("A", 26),
		ticket(t, node(other).guard, alice.Claims, "/access"),
		ticket(t, node("").guard, alice.Claims, "/access"),
	} {
		x.wantRefusal(t, x.send(t, byTicket("/access", forged)), wsauth.TokenInvalid)
	}
	if n := taken.Load(); n != 0 {
		t.Errorf("forged tickets cost the store %d calls, want none", n)
	}
	second := node(own)
	second.wantSuccess(t, second.send(t, byTicket("/access", good)))
	if n := taken.Load(); n != 1 {
		t.Errorf("the store was called %d times, want once", n)
	}
}

// TestTicketKeyIsLongEnough checks that New refuses a short Config.TicketKey.
func TestTicketKeyIsLongEnough(t *testing.T) {
	c := ticketConfig(t)
	c.TicketKey = make([]byte, 31)
	if _, err := wsauth.New(c); err == nil || !strings.Contains(err.Error(), "Config.TicketKey") {
		t.Errorf("New with a key of 31 bytes: %v, want an error about Config.TicketKey", err)
	}
}
