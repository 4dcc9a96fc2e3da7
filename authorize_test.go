package wsauth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"wsauth"
	"wsauth/token"
)

// TestAuthorizeHeldRequest checks that when a held request is renewed,
// Authorize gets the documented fields of the request, and no others.
func TestAuthorizeHeldRequest(t *testing.T) {
	var calls []string
	guard, issuer := newGuard(wsauth.Config{Authorize: func(r *http.Request, claims *token.Claims) error {
		calls = append(calls, claims.Subject+" "+r.Method+" "+r.Host+" "+r.URL.String()+" "+r.RemoteAddr+" "+r.Header.Get("X-Kept"))
		return r.Context().Err()
	}})
	held, over := make(chan error), make(chan struct{})
	handler := guard.Require(wsauth.Access)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		held <- wsauth.Hold(r.Context())
		<-r.Context().Done()
		close(over)
	}))
	session := token.Options{SessionID: "s1", TTL: time.Minute}
	r := httptest.NewRequest(http.MethodPost, "http://app.example/events?x=1", nil)
	r.Header.Set("Authorization", "Bearer "+mustIssue(issuer.Access("ada", session)).Raw)
	r.Header.Set("X-Kept", "yes")
	go handler.ServeHTTP(httptest.NewRecorder(), r)
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	session.TTL = time.Hour
	if n, err := guard.Renew(t.Context(), mustIssue(issuer.Access("ada", session)).Raw); n != 1 || err != nil {
		t.Errorf("%d renewed, %v", n, err)
	}
	if len(calls) != 2 || calls[0] != "ada POST app.example http://app.example/events?x=1 192.0.2.1:1234 yes" || calls[1] != "ada POST app.example /events 192.0.2.1:1234 " {
		t.Errorf("%q", calls)
	}
	if err := guard.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-over
}

// TestAuthorizeGetsNoTokenOfThePath checks that a renewal calls Authorize with
// a path that contains no token.
func TestAuthorizeGetsNoTokenOfThePath(t *testing.T) {
	var paths []string
	guard, issuer := newGuard(wsauth.Config{
		Extractors: []wsauth.Extractor{wsauth.PathValue{Name: "token"}, wsauth.Header{}},
		Authorize: func(r *http.Request, _ *token.Claims) error {
			paths = append(paths, r.URL.Path)
			return nil
		},
	})
	session := token.Options{SessionID: "s1", TTL: time.Minute}
	raw := mustIssue(issuer.Access("ada", session)).Raw
	held, over := make(chan error), make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("/events/{token}", guard.Require(wsauth.Access)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		held <- wsauth.Hold(r.Context())
		<-r.Context().Done()
		close(over)
	})))
	go mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://app.example/events/"+raw, nil))
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	admitted := make(chan string, 1)
	mux.HandleFunc("/ws/{token}", func(_ http.ResponseWriter, r *http.Request) {
		claims, err := guard.Check(r, wsauth.Access)
		if err != nil {
			t.Error(err)
		}
		if _, err = guard.Admit(r, wsauth.Access, claims, ignoredEnd{}); err != nil {
			t.Error(err)
		}
		admitted <- r.URL.Path
	})
	mux.ServeHTTP(httptest.NewRecorder(), handshakeOf("/ws/"+raw))
	<-admitted
	paths = nil
	session.TTL = time.Hour
	if n, err := guard.Renew(t.Context(), mustIssue(issuer.Access("ada", session)).Raw); n != 2 || err != nil {
		t.Errorf("%d renewed, %v", n, err)
	}
	slices.Sort(paths)
	if !slices.Equal(paths, []string{"/events/-", "/ws/-"}) {
		t.Errorf("%q", paths)
	}
	for socket := range guard.Sockets(wsauth.Filter{All: true}) {
		socket.EndWith(nil)
		if err := socket.Err(); !errors.Is(err, wsauth.SessionEnded) {
			t.Error(err)
		}
	}
	<-over
}

type ignoredEnd struct{}

func (ignoredEnd) End(_ error, _ []byte, sent func()) { sent() }

// handshakeOf returns a handshake for a path.
func handshakeOf(path string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
	return r
}
