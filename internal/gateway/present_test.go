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

// A presenter presents a refresh token to the gateway without exchanging it.
type presenter struct {
	name   string
	show   func(r *rig, raw string) (status int) // 401 if the token is refused, even if by a close code
	good   int                                   // status if the token is accepted
	ends   bool                                  // an accepted token ends its session
	routed bool                                  // requests with an accepted token reach the upstream
}

var presenters = []presenter{
	{name: "logout", good: 204, ends: true, show: func(r *rig, raw string) int { return r.Call("POST", "/auth/logout", "", bearer(raw)).StatusCode }},
	{name: "logout everywhere", good: 200, ends: true, show: func(r *rig, raw string) int {
		return r.Call("POST", "/auth/logout-everywhere", "", bearer(raw)).StatusCode
	}},
	{name: "a request", good: 200, routed: true, show: func(r *rig, raw string) int {
		return r.callUnchanged("GET /refresh HTTP/1.1", "Connection: close", bearer(raw)).StatusCode
	}},
	{name: "a request by cookie", good: 200, routed: true, show: func(r *rig, raw string) int {
		return r.callUnchanged("GET /refresh HTTP/1.1", "Connection: close", "Cookie: __Host-refresh_token_cookie="+raw).StatusCode
	}},
	{name: "a handshake", good: 101, routed: true, show: func(r *rig, raw string) int {
		return r.callUnchanged("GET /refresh HTTP/1.1", append(slices.Clone(upgradeLines), bearer(raw))...).StatusCode
	}},
	{name: "a first message", good: 101, routed: true, show: func(r *rig, raw string) int {
		conn, _, err := r.DialPath("/introduced", nil)
		if err != nil {
			r.T.Fatal(err)
		}
		defer conn.CloseNow()
		r.Write(conn, `{"type":"auth","token":"`+raw+`"}`)
		reply, err := r.Read(conn)
		switch end, _ := errors.AsType[websocket.CloseError](err); {
		case strings.HasPrefix(reply, `{"type":"auth_ok"`):
			return http.StatusSwitchingProtocols
		case end.Code == 3000 && end.Reason == "session_ended":
			return http.StatusUnauthorized
		}
		r.T.Fatalf("%q, %v", reply, err)
		return 0
	}},
}

// servePresenters serves routes that accept refresh tokens.
func servePresenters(t *testing.T, change ...func(*Config)) (*rig, *backend) {
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

// rotations logs in and refreshes the session n times. It returns the latest
// access token, and all refresh tokens, oldest first.
func (r *rig) rotations(n int) (access string, refresh []string) {
	r.T.Helper()
	access, raw := r.Login()
	refresh = []string{raw}
	for range n {
		access, raw = r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(raw), idempotencyKey("key")))
		refresh = append(refresh, raw)
	}
	return access, refresh
}

// wantSession checks by its latest tokens whether a session is alive.
func (r *rig) wantSession(lives bool, access, refresh string) {
	r.T.Helper()
	session := r.Call("GET", "/auth/session", "", bearer(access))
	renewal := r.Call("POST", "/auth/refresh", "", bearer(refresh), idempotencyKey("next"))
	if !lives {
		session.WantEnded(r.T)
		renewal.WantEnded(r.T)
		return
	}
	if session.StatusCode != http.StatusOK {
		r.T.Errorf("the access token: %d %s", session.StatusCode, session.Text)
	}
	r.Renewed(renewal)
}

// TestL7_ReuseWithoutARefresh checks that a refresh token that was exchanged is
// refused wherever a client presents it, and ends its session and its sockets,
// but no other session of the user (L7).
func TestL7_ReuseWithoutARefresh(t *testing.T) {
	for _, at := range presenters {
		for generation, name := range []string{"two generations ago", "the last one, without a grace"} {
			t.Run(at.name+" "+name, func(t *testing.T) {
				r, b := servePresenters(t)
				otherAccess, other := r.rotations(1)
				access, refresh := r.rotations(2)
				conn, _, err := r.DialPath("/access", nil, bearer(access))
				if err != nil {
					t.Fatal(err)
				}
				r.WantEcho(conn, "hello")
				n := b.count()
				if status := at.show(r, refresh[generation]); status != http.StatusUnauthorized || b.count() != n {
					t.Errorf("%d, and the upstream has %d requests", status, b.count()-n)
				}
				r.WantClose(conn, 3000, "session_ended")
				r.wantSession(false, access, refresh[2])
				r.wantSession(true, otherAccess, other[1])
				r.log.WaitFor(t, "reason=refresh_token_reused")
			})
		}
	}
}

// TestRefreshTokensStayValid checks that presenting a valid refresh token does
// not use it up, with and without a session in the store.
func TestRefreshTokensStayValid(t *testing.T) {
	for _, at := range presenters {
		if at.ends {
			continue
		}
		t.Run(at.name, func(t *testing.T) {
			r, _ := servePresenters(t)
			access, refresh := r.rotations(2)
			crafted := []string{
				must(r.g.issuer.Refresh("test", token.Options{})).Raw,
				must(r.g.issuer.Refresh("test", token.Options{SessionID: store.NewSessionID(time.Now())})).Raw,
				must(r.g.issuer.Refresh("test", token.Options{SessionID: "hand-made", ID: "twice"})).Raw,
			}
			for range 3 {
				for _, raw := range append(crafted, refresh[2]) {
					if status := at.show(r, raw); status != at.good {
						t.Errorf("%d, want %d", status, at.good)
					}
				}
			}
			r.wantSession(true, access, refresh[2])
		})
	}
}

// TestL7_PresentedSuccessorEndsTheRetry checks that a refresh cannot be retried
// with its idempotency key after a client has presented the successor. The
// retry ends the session.
func TestL7_PresentedSuccessorEndsTheRetry(t *testing.T) {
	for _, at := range presenters {
		if at.ends {
			continue
		}
		t.Run(at.name, func(t *testing.T) {
			r, _ := servePresenters(t)
			access, refresh := r.rotations(2)
			if status := at.show(r, refresh[2]); status != at.good {
				t.Errorf("%d, want %d", status, at.good)
			}
			r.Call("POST", "/auth/refresh", "", bearer(refresh[1]), idempotencyKey("key")).WantProblem(t, 401, "session_ended", "")
			r.wantSession(false, access, refresh[2])
		})
	}
}

// TestRefreshTokensWithinTheGrace checks that within the grace period the
// previous refresh token is accepted like the current one, and that the one
// before it is refused and ends the session.
func TestRefreshTokensWithinTheGrace(t *testing.T) {
	for _, at := range presenters {
		t.Run(at.name, func(t *testing.T) {
			r, _ := servePresenters(t, func(c *Config) { c.Login.RefreshGrace = login.MaxRefreshGrace })
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

// TestRefreshTokensWithoutTheStore checks that no refresh token is accepted,
// and no session ends, while the store does not answer.
func TestRefreshTokensWithoutTheStore(t *testing.T) {
	s := &failingStore{Store: memory.New(store.Limits{})}
	r, b := servePresenters(t, func(c *Config) { c.Store = s })
	access, refresh := r.rotations(1)
	s.fail(errors.New("no disk"))
	for _, lines := range [][]string{{"Connection: close"}, upgradeLines} {
		e := r.callUnchanged("GET /refresh HTTP/1.1", append(slices.Clone(lines), bearer(refresh[1]))...)
		e.WantProblem(t, 503, "store_unavailable", "")
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

// TestRefreshRoutesAreNotQuick checks that event loops, which cannot wait for
// the store, do not serve routes of refresh tokens.
func TestRefreshRoutesAreNotQuick(t *testing.T) {
	r, _ := servePresenters(t)
	r.awaitReady()
	for path, quick := range map[string]bool{"/refresh": false, "/access": true} {
		request := must(http.NewRequest(http.MethodGet, "http://app.example"+path, nil))
		if isQuick(r.g, request) != quick {
			t.Errorf("%s is quick: %t", path, !quick)
		}
	}
}

// TestNothingIsQuickUntilReady checks that event loops serve no handshake
// before the gateway has read the revocations. Until then, a handshake would
// block its loop.
func TestNothingIsQuickUntilReady(t *testing.T) {
	r, _ := servePresenters(t, func(c *Config) { c.Store = &silentStore{Store: memory.New(store.Limits{})} })
	request := must(http.NewRequest(http.MethodGet, "http://app.example/access", nil))
	if isQuick(r.g, request) {
		t.Error("/access is quick")
	}
}
