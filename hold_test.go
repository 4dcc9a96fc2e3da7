package wsauth_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsauth"
	"wsauth/internal/wstest"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// A stream is a held request in a synctest bubble.
type stream struct {
	held  error // the result of Hold, set at the end
	cause error // of the end
	over  chan struct{}
}

func (s *stream) done() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// hold starts a request with a token. Its handler holds the response open until
// the context ends.
func hold(guard *wsauth.Guard) *stream {
	s := &stream{over: make(chan struct{})}
	h := guard.Require(wsauth.Access)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if s.held = wsauth.Hold(r.Context()); s.held == nil {
			<-r.Context().Done()
		}
		s.cause = context.Cause(r.Context())
		close(s.over)
	}))
	r := httptest.NewRequest(http.MethodGet, "/events", nil)
	r.Header.Set("Authorization", "Bearer x")
	go h.ServeHTTP(httptest.NewRecorder(), r)
	synctest.Wait()
	return s
}

func (s *stream) want(t *testing.T, reason wsauth.Reason) {
	t.Helper()
	synctest.Wait()
	if !s.done() {
		t.Fatalf("still open; want %s", reason)
	}
	if !errors.Is(s.cause, reason) {
		t.Errorf("ended with %v; want %s", s.cause, reason)
	}
}

// A sessionVerifier accepts every token, as one of a session.
type sessionVerifier struct{ sid string }

func (v sessionVerifier) Verify(context.Context, string) (*token.Claims, error) {
	now := time.Now()
	return &token.Claims{Subject: "ada", SessionID: v.sid, ID: v.sid + now.String(), Type: token.TypeAccess, IssuedAt: now, ExpiresAt: now.Add(time.Minute)}, nil
}

// TestHold checks that an endless response ends like a socket.
func TestHold(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(t *testing.T, g *wsauth.Guard)
		want wsauth.Reason
	}{
		{"expiry", func(*testing.T, *wsauth.Guard) { time.Sleep(time.Minute) }, wsauth.TokenExpired},
		{"revocation", func(t *testing.T, g *wsauth.Guard) {
			n, err := g.Revoke(context.Background(), store.Revocation{Target: store.TargetSession, ID: "s1", Expires: time.Now().Add(time.Hour)})
			if n != 1 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}, wsauth.SessionEnded},
		{"shutdown", func(t *testing.T, g *wsauth.Guard) {
			if err := g.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}, wsauth.Restarting},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := must(wsauth.New(wsauth.Config{Verifier: sessionVerifier{"s1"}, Revocations: memory.New(store.Limits{})}))
				t.Cleanup(func() { _ = g.Shutdown(context.Background()) })
				s := hold(g)
				if n := len(slices.Collect(g.Sockets(wsauth.Filter{Subject: "ada"}))); s.done() || n != 1 {
					t.Fatalf("done %v, %d sockets", s.done(), n)
				}
				c.end(t, g)
				s.want(t, c.want)
				if n := len(slices.Collect(g.Sockets(wsauth.Filter{Subject: "ada"}))); n != 0 {
					t.Errorf("%d sockets are left", n)
				}
			})
		})
	}
}

// TestHoldRenewed checks that a refresh of the session keeps the response open.
func TestHoldRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := must(wsauth.New(wsauth.Config{Verifier: sessionVerifier{"s1"}}))
		s := hold(g)
		time.Sleep(40 * time.Second)
		if n, err := g.Renew(context.Background(), "y"); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if s.done() {
			t.Fatal("ended")
		}
		time.Sleep(time.Second)
		s.want(t, wsauth.TokenExpired)
	})
}

// TestHoldOverALimit checks that held requests count against limits.
func TestHoldOverALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := must(wsauth.New(wsauth.Config{Verifier: sessionVerifier{"s1"}, Limits: wsauth.Limits{PerSubject: 1}}))
		first := hold(g)
		if second := hold(g); !errors.Is(second.held, wsauth.RateLimited) {
			t.Errorf("the second: %v", second.held)
		}
		if err := g.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		first.want(t, wsauth.Restarting)
		if late := hold(g); !errors.Is(late.held, wsauth.Restarting) {
			t.Errorf("after the shutdown: %v", late.held)
		}
	})
}

// TestWith checks that a derived guard uses its own extractors and shares the
// sockets.
func TestWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := must(wsauth.New(wsauth.Config{Verifier: sessionVerifier{"s1"}, Revocations: memory.New(store.Limits{})}))
		query := must(g.With(func(c *wsauth.Config) { c.Extractors = []wsauth.Extractor{wsauth.Query{Name: "token"}} }))
		r := httptest.NewRequest(http.MethodGet, "/?token=x", nil)
		if _, err := query.Check(r, wsauth.Access); err != nil {
			t.Error(err)
		}
		if _, err := g.Check(r, wsauth.Access); !errors.Is(err, wsauth.TokenMissing) {
			t.Errorf("the first guard accepted the query: %v", err)
		}
		s := hold(g)
		if n := len(slices.Collect(query.Sockets(wsauth.Filter{Subject: "ada"}))); n != 1 {
			t.Errorf("the derived guard knows of %d sockets", n)
		}
		if n, err := query.Revoke(context.Background(), store.Revocation{Target: store.TargetSubject, ID: "ada", Before: time.Now(), Expires: time.Now().Add(time.Hour)}); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		s.want(t, wsauth.SessionEnded)
		if err := query.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// TestWithPolicy checks that each guard follows its own policy, and that a
// derived guard leaves the first one as it was.
func TestWithPolicy(t *testing.T) {
	var log, derivedLog wstest.Log
	g := must(wsauth.New(wsauth.Config{
		Verifier: sessionVerifier{"s1"}, Origins: []string{"https://one.example"}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}))
	derived := must(g.With(func(c *wsauth.Config) {
		c.Origins, c.AppParameters, c.KeepCredential = []string{"https://two.example"}, []string{"access_token"}, true
		c.Extractors = []wsauth.Extractor{wsauth.Header{}, wsauth.FirstMessage{}}
		c.Logger = slog.New(slog.NewTextHandler(&derivedLog, nil))
	}))
	changed := func(change func(*http.Request), fields ...string) *http.Request {
		r := handshakeFrom("192.0.2.1:1", fields...)
		change(r)
		return r
	}
	same := func(*http.Request) {}
	for name, tt := range map[string]struct {
		r           *http.Request
		first, next error
	}{
		"first origin":     {changed(same, "Origin: https://one.example"), nil, wsauth.OriginNotAllowed},
		"second origin":    {changed(same, "Origin: https://two.example"), wsauth.OriginNotAllowed, nil},
		"other origin":     {changed(same, "Origin: https://app.example"), wsauth.OriginNotAllowed, wsauth.OriginNotAllowed},
		"app's parameter":  {changed(func(r *http.Request) { r.URL.RawQuery = "access_token=x" }), wsauth.InvalidRequest, nil},
		"no credential":    {changed(func(r *http.Request) { r.Header.Del("Authorization") }), wsauth.TokenMissing, nil},
		"plain, no header": {httptest.NewRequest(http.MethodGet, "/", nil), wsauth.TokenMissing, wsauth.TokenMissing},
	} {
		for _, of := range []struct {
			guard *wsauth.Guard
			want  error
		}{{g, tt.first}, {derived, tt.next}} {
			if _, err := of.guard.Check(tt.r, wsauth.Access); !errors.Is(err, of.want) {
				t.Errorf("%s: %v, want %v", name, err, of.want)
			}
		}
	}
	for guard, want := range map[*wsauth.Guard]string{g: "", derived: "Bearer x"} {
		r := changed(same)
		if guard.Strip(r); r.Header.Get("Authorization") != want {
			t.Errorf("after Strip, Authorization is %q, want %q", r.Header.Get("Authorization"), want)
		}
	}
	derived.Refuse(httptest.NewRecorder(), changed(same), errors.New("refused"))
	if log.String() != "" || !strings.Contains(derivedLog.String(), "msg=refused") {
		t.Errorf("the first guard has logged %q, the derived one %q", &log, &derivedLog)
	}
}

// TestWithErrors checks that shared settings cannot differ, and that others are
// validated.
func TestWithErrors(t *testing.T) {
	g := must(wsauth.New(wsauth.Config{Verifier: sessionVerifier{"s1"}}))
	for name, change := range map[string]func(*wsauth.Config){
		"Limits":    func(c *wsauth.Config) { c.Limits.PerSubject = 3 },
		"Staleness": func(c *wsauth.Config) { c.Staleness = time.Minute },
		"Verifier":  func(c *wsauth.Config) { c.Verifier = nil },
		"Origins":   func(c *wsauth.Config) { c.Origins = []string{"*"} },
	} {
		if _, err := g.With(change); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := g.With(func(c *wsauth.Config) { c.Limits.HandshakesPerMinute = 3 }); err != nil {
		t.Error(err)
	}
}

// TestRefuseEndedRequest checks that a plain request that ended before its
// answer gets a plain answer, even with a header of a handshake.
func TestRefuseEndedRequest(t *testing.T) {
	guard, _ := newGuard(wsauth.Config{Refusal: wsauth.RefuseClose})
	for reason, want := range map[wsauth.Reason]wsauth.Reason{wsauth.TokenExpired: wsauth.TokenExpired, "maintenance": wsauth.SessionEnded} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
		w := httptest.NewRecorder()
		guard.Refuse(w, r, &wsauth.EndError{Code: 4000, Reason: reason})
		if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), `"`+string(want)+`"`) {
			t.Errorf("%s: %d %s", reason, w.Code, w.Body)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
