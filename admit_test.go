package wsauth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"wsauth/internal/wsframe"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// endings implements Ender, and records each end.
type endings struct {
	causes []error
	frames [][]byte
	told   []func()
}

// End implements Ender.
func (e *endings) End(cause error, frame []byte, told func()) {
	e.causes, e.frames, e.told = append(e.causes, cause), append(e.frames, frame), append(e.told, told)
}

// newAdmitGuard returns a guard that also accepts tokens in the first message.
func newAdmitGuard(t *testing.T, change func(*Config)) (*Guard, *token.Issuer) {
	t.Helper()
	key, err := token.GenerateKey(token.HS256)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := token.NewKeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Extractors: []Extractor{Header{}, FirstMessage{}}, Revocations: memory.New(store.Limits{})}
	if c.Verifier, err = token.NewVerifier(token.VerifierConfig{Keys: keys}); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&c)
	}
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return g, issuer
}

// handshake returns a WebSocket handshake with a token, or without one.
func handshake(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/ws", nil)
	for name, value := range map[string]string{
		"Upgrade": "websocket", "Connection": "Upgrade", "Sec-Websocket-Version": "13", "Sec-Websocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		r.Header.Set(name, value)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

func issue(t *testing.T, issuer *token.Issuer, o token.Options) string {
	t.Helper()
	issued, err := issuer.Access("ada", o)
	if err != nil {
		t.Fatal(err)
	}
	return issued.Raw
}

// TestAdmit checks that Admit needs neither a ResponseWriter nor a goroutine,
// that the guard calls the Ender once, and that it forgets the socket when the
// connection closes.
func TestAdmit(t *testing.T) {
	g, issuer := newAdmitGuard(t, nil)
	r := handshake(issue(t, issuer, token.Options{SessionID: "s1"}))
	claims, err := g.Check(r, Access)
	if err != nil {
		t.Fatal(err)
	}
	end := new(endings)
	s, err := g.Admit(r, Access, claims, end)
	if err != nil {
		t.Fatal(err)
	}
	if s.Claims() != claims || s.Err() != nil || s.RemoteAddr() != r.RemoteAddr || g.Stats().Sockets != 1 {
		t.Errorf("%v, %v, %q, %+v", s.Claims(), s.Err(), s.RemoteAddr(), g.Stats())
	}
	asked := s.Context()
	for range 2 {
		if _, err := g.Revoke(t.Context(), store.Revocation{Target: store.TargetSession, ID: "s1", Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	if len(end.causes) != 1 || !errors.Is(end.causes[0], s.Err()) || !errors.Is(s.Err(), SessionEnded) {
		t.Fatalf("ended by %v, want %v once", end.causes, s.Err())
	}
	if want := wsframe.AppendClose(nil, CloseUnauthorized, "session_ended"); string(end.frames[0]) != string(want) {
		t.Errorf("close frame %q, want %q", end.frames[0], want)
	}
	if asked.Err() != nil {
		t.Error("the context ends before the server may know")
	}
	end.told[0]()
	if !errors.Is(context.Cause(asked), s.Err()) || s.Context() != asked || SocketFrom(asked) != s {
		t.Errorf("cause %v, want %v", context.Cause(asked), s.Err())
	}
	s.Closed()
	if !g.isEmpty() {
		t.Errorf("%+v are left", g.Stats())
	}
	if _, err := g.Check(r, Access); !errors.Is(err, TokenRevoked) {
		t.Errorf("the next handshake: %v", err)
	}
}

// TestAdmitRevoked checks that a token that is revoked between Check and Admit
// opens no socket and leaves nothing behind.
func TestAdmitRevoked(t *testing.T) {
	g, issuer := newAdmitGuard(t, nil)
	r := handshake(issue(t, issuer, token.Options{SessionID: "s1"}))
	claims, err := g.Check(r, Access)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Revoke(t.Context(), store.Revocation{Target: store.TargetSession, ID: "s1", Expires: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	end := new(endings)
	if s, err := g.Admit(r, Access, claims, end); s != nil || !errors.Is(err, TokenRevoked) {
		t.Errorf("%v, %v", s, err)
	}
	if len(end.causes) > 0 || !g.isEmpty() {
		t.Errorf("ended by %v; %+v are left", end.causes, g.Stats())
	}
}

// TestAdmitFirstMessage checks that a socket whose token comes in the first
// message passes Check and Admit without claims. It is anonymous until that
// message, and Authorize is called once its claims are known.
func TestAdmitFirstMessage(t *testing.T) {
	var asked []*token.Claims
	g, issuer := newAdmitGuard(t, func(c *Config) {
		c.Limits.Unauthenticated = 1
		c.Authorize = func(_ *http.Request, claims *token.Claims) error { asked = append(asked, claims); return nil }
	})
	r := handshake("")
	claims, err := g.Check(r, Access)
	if claims != nil || err != nil || len(asked) > 0 {
		t.Fatalf("%v, %v, asked of %v", claims, err, asked)
	}
	s, err := g.Admit(r, Access, nil, new(endings))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Admit(r, Access, nil, new(endings)); !errors.Is(err, RateLimited) {
		t.Errorf("another anonymous socket: %v", err)
	}
	reply, err := s.Authenticate(t.Context(), []byte(`{"type":"auth","token":"`+issue(t, issuer, token.Options{})+`"}`))
	if err != nil || len(reply) == 0 || s.Claims() == nil || len(asked) != 1 {
		t.Errorf("%q, %v, %v, asked of %v", reply, err, s.Claims(), asked)
	}
	other, err := g.Admit(r, Access, nil, new(endings))
	if err != nil {
		t.Fatal(err)
	}
	other.Closed()
	s.Closed()
}

// TestAdmitWithoutClaims checks that only an Optional requirement, or a guard
// that waits for the first message, admits a socket without claims.
func TestAdmitWithoutClaims(t *testing.T) {
	g, _ := newAdmitGuard(t, func(c *Config) { c.Extractors = nil })
	r := handshake("")
	if _, err := g.Check(r, Access); !errors.Is(err, TokenMissing) {
		t.Errorf("Check: %v", err)
	}
	for _, q := range []Requirement{Access, Refresh, Fresh} {
		if s, err := g.Admit(r, q, nil, new(endings)); s != nil || !errors.Is(err, TokenMissing) {
			t.Errorf("%v: %v, %v", q, s, err)
		}
	}
	s, err := g.Admit(r, Optional, nil, new(endings))
	if err != nil {
		t.Fatal(err)
	}
	s.Closed()
	if cause := context.Cause(s.Context()); !errors.Is(cause, s.Err()) || !g.isEmpty() {
		t.Errorf("the context of a closed socket ends with %v, want %v; %+v are left", cause, s.Err(), g.Stats())
	}
}

// isEmpty reports whether nothing is registered in g.
func (g *Guard) isEmpty() bool {
	sockets, sessions, subjects := g.open.sockets.counts()
	requests, _, _ := g.open.requests.counts()
	return sockets+sessions+subjects+requests == 0
}
