package gateway

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/internal/gateway/proxy"
	"wsauth/login"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// A place takes a refresh token without exchanging it.
type place struct {
	name   string
	show   func(r *rig, raw string) (status int) // 401 where it is refused, whatever the way
	good   int                                   // status where it is accepted
	ends   bool                                  // it ends the session of the token that it accepts
	routed bool                                  // the upstream sees what is accepted
}

var places = []place{
	{name: "logout", good: 204, ends: true, show: func(r *rig, raw string) int { return r.call("POST", "/auth/logout", "", bearer(raw)).StatusCode }},
	{name: "logout everywhere", good: 200, ends: true, show: func(r *rig, raw string) int {
		return r.call("POST", "/auth/logout-everywhere", "", bearer(raw)).StatusCode
	}},
	{name: "a request", good: 200, routed: true, show: func(r *rig, raw string) int {
		return r.exactly("GET /refresh HTTP/1.1", "Connection: close", bearer(raw)).StatusCode
	}},
	{name: "a request by cookie", good: 200, routed: true, show: func(r *rig, raw string) int {
		return r.exactly("GET /refresh HTTP/1.1", "Connection: close", "Cookie: __Host-refresh_token_cookie="+raw).StatusCode
	}},
	{name: "a handshake", good: 101, routed: true, show: func(r *rig, raw string) int {
		return r.exactly("GET /refresh HTTP/1.1", append(slices.Clone(upgradeLines), bearer(raw))...).StatusCode
	}},
	{name: "a first message", good: 101, routed: true, show: func(r *rig, raw string) int {
		conn, _, err := r.trySocket("/introduced", nil)
		if err != nil {
			r.t.Fatal(err)
		}
		defer conn.CloseNow()
		r.write(conn, `{"type":"auth","token":"`+raw+`"}`)
		reply, err := r.read(conn)
		switch end, _ := errors.AsType[websocket.CloseError](err); {
		case strings.HasPrefix(reply, `{"type":"auth_ok"`):
			return http.StatusSwitchingProtocols
		case end.Code == 3000 && end.Reason == "session_ended":
			return http.StatusUnauthorized
		}
		r.t.Fatalf("%q, %v", reply, err)
		return 0
	}},
}

// shown serves routes that take refresh tokens.
func shown(t *testing.T, change ...func(*Config)) (*rig, *backend) {
	t.Helper()
	b := newBackend(t)
	r := start(t, append([]func(*Config){func(c *Config) {
		c.Login.RefreshGrace = -1
		c.Routes = []proxy.Route{
			{Path: "/refresh", Upstreams: []string{b.URL}, Requirement: wsauth.Refresh},
			{Path: "/introduced", Upstreams: []string{b.URL}, Requirement: wsauth.Refresh, Extractors: []wsauth.Extractor{wsauth.FirstMessage{Timeout: 5 * time.Second}}},
			{Path: "/access", Upstreams: []string{b.URL}},
		}
	}}, change...)...)
	return r, b
}

// rotations are the refresh tokens of a session, the first first.
func (r *rig) rotations(n int) (access string, refresh []string) {
	r.t.Helper()
	access, raw := r.login()
	refresh = []string{raw}
	for range n {
		access, raw = r.renewed(r.call("POST", "/auth/refresh", "", bearer(raw), idempotent("key")))
		refresh = append(refresh, raw)
	}
	return access, refresh
}

// wantSession asserts whether a session lives, by its last tokens.
func (r *rig) wantSession(lives bool, access, refresh string) {
	r.t.Helper()
	session := r.call("GET", "/auth/session", "", bearer(access))
	renewal := r.call("POST", "/auth/refresh", "", bearer(refresh), idempotent("next"))
	if !lives {
		wantDead(r.t, session)
		wantDead(r.t, renewal)
		return
	}
	if session.StatusCode != http.StatusOK {
		r.t.Errorf("the access token: %d %s", session.StatusCode, session.body)
	}
	r.renewed(renewal)
}

// L7, wherever a refresh token is shown: one that was exchanged is refused,
// and ends its session with the sockets, and no other of the user.
func TestL7_ReuseWithoutARefresh(t *testing.T) {
	for _, at := range places {
		for generation, name := range []string{"two generations ago", "the last one, without a grace"} {
			t.Run(at.name+" "+name, func(t *testing.T) {
				r, b := shown(t)
				otherAccess, other := r.rotations(1)
				access, refresh := r.rotations(2)
				conn, _, err := r.trySocket("/access", nil, bearer(access))
				if err != nil {
					t.Fatal(err)
				}
				r.echoOf(conn, "hello")
				n := b.count()
				if status := at.show(r, refresh[generation]); status != http.StatusUnauthorized || b.count() != n {
					t.Errorf("%d, and the upstream has %d requests", status, b.count()-n)
				}
				r.wantClose(conn, 3000, "session_ended")
				r.wantSession(false, access, refresh[2])
				r.wantSession(true, otherAccess, other[1])
				r.log.WaitFor(t, "reason=refresh_token_reused")
			})
		}
	}
}

// What is good is accepted and stays good: the current token, as often as it
// is shown, and one of no session of the store.
func TestRefreshTokensAreShown(t *testing.T) {
	for _, at := range places {
		if at.ends {
			continue
		}
		t.Run(at.name, func(t *testing.T) {
			r, _ := shown(t)
			access, refresh := r.rotations(2)
			handmade := []string{
				must(r.g.issuer.Refresh("test", token.Options{})).Raw,
				must(r.g.issuer.Refresh("test", token.Options{SessionID: store.NewSessionID()})).Raw,
				must(r.g.issuer.Refresh("test", token.Options{SessionID: "hand-made", ID: "twice"})).Raw,
			}
			for range 3 {
				for _, raw := range append(handmade, refresh[2]) {
					if status := at.show(r, raw); status != at.good {
						t.Errorf("%d, want %d", status, at.good)
					}
				}
			}
			r.wantSession(true, access, refresh[2])
		})
	}
}

// Once its successor has been shown, the key of a refresh repeats it no more.
func TestL7_AShownSuccessorEndsTheRetry(t *testing.T) {
	for _, at := range places {
		if at.ends {
			continue
		}
		t.Run(at.name, func(t *testing.T) {
			r, _ := shown(t)
			access, refresh := r.rotations(2)
			if status := at.show(r, refresh[2]); status != at.good {
				t.Errorf("%d, want %d", status, at.good)
			}
			wantProblem(t, r.call("POST", "/auth/refresh", "", bearer(refresh[1]), idempotent("key")), 401, "session_ended", "")
			r.wantSession(false, access, refresh[2])
		})
	}
}

// Within the grace the token before the last passes, and ends nothing that it
// would not end anyway; the one before it does.
func TestRefreshTokensAreShownWithinTheGrace(t *testing.T) {
	for _, at := range places {
		t.Run(at.name, func(t *testing.T) {
			r, _ := shown(t, func(c *Config) { c.Login.RefreshGrace = login.MaxRefreshGrace })
			access, refresh := r.rotations(2)
			if status := at.show(r, refresh[1]); status != at.good {
				t.Errorf("%d, want %d", status, at.good)
			}
			r.wantSession(!at.ends, access, refresh[2])
			access, refresh = r.rotations(2)
			if status := at.show(r, refresh[0]); status != http.StatusUnauthorized {
				t.Errorf("the one before it: %d", status)
			}
			r.wantSession(false, access, refresh[2])
		})
	}
}

// A store that does not answer lets no refresh token pass, and ends nothing.
func TestRefreshTokensAreNotShownToADeadStore(t *testing.T) {
	s := &failingStore{Store: memory.New(store.Limits{})}
	r, b := shown(t, func(c *Config) { c.Store = s })
	access, refresh := r.rotations(1)
	s.fail(errors.New("no disk"))
	for _, lines := range [][]string{{"Connection: close"}, upgradeLines} {
		e := r.exactly("GET /refresh HTTP/1.1", append(slices.Clone(lines), bearer(refresh[1]))...)
		wantProblem(t, e, 503, "store_unavailable", "")
	}
	if b.count() != 0 {
		t.Errorf("the upstream has %d requests", b.count())
	}
	s.fail(nil)
	r.wantSession(true, access, refresh[1])
}

// isQuick reports whether an event loop may serve a handshake.
func isQuick(g *Gateway, r *http.Request) bool {
	_, ok := g.quickMatch(r)
	return ok
}

// A route of refresh tokens is not served by an event loop, which cannot wait
// for the store.
func TestRefreshRoutesAreNotQuick(t *testing.T) {
	r, _ := shown(t)
	r.awaitReady()
	for path, quick := range map[string]bool{"/refresh": false, "/access": true} {
		request := must(http.NewRequest(http.MethodGet, "http://app.example"+path, nil))
		if isQuick(r.g, request) != quick {
			t.Errorf("%s is quick: %t", path, !quick)
		}
	}
}

// Nothing is quick until the revocations have been read: a request waits for
// that, and would hold its event loop.
func TestNothingIsQuickUntilReady(t *testing.T) {
	r, _ := shown(t, func(c *Config) { c.Store = &silentStore{Store: memory.New(store.Limits{})} })
	request := must(http.NewRequest(http.MethodGet, "http://app.example/access", nil))
	if isQuick(r.g, request) {
		t.Error("/access is quick")
	}
}
