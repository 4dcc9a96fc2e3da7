package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/idp"
	"wsauth/store"
	"wsauth/store/memory"
)

// TestProvider checks the example in identity-providers.md. A server finds the
// simulated provider through discovery. A token of the provider opens a socket,
// and a logout at the provider closes it.
func TestProvider(t *testing.T) {
	mux := http.NewServeMux() // routes of the server that trusts the provider
	server := httptest.NewServer(mux)
	var routes http.Handler
	standIn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { routes.ServeHTTP(w, r) }))
	p, err := newProvider(standIn.URL+realm, server.URL+"/logout")
	if err != nil {
		t.Fatal(err)
	}
	routes = p.routes()

	trusted, err := idp.New(idp.Config{Preset: idp.Keycloak, Issuer: standIn.URL + realm, Audience: []string{audience}, Namespace: "keycloak"})
	if err != nil {
		t.Fatal(err)
	}
	guard, err := wsauth.New(wsauth.Config{Verifier: trusted.Verifier(), Revocations: memory.New(store.Limits{})})
	if err != nil {
		t.Fatal(err)
	}
	ended, err := idp.NewHandler(guard, nil, trusted)
	if err != nil {
		t.Fatal(err)
	}
	user := make(chan string, 1)
	mux.HandleFunc("POST /logout", ended.Logout)
	mux.Handle("/ws", guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims := wsauth.ClaimsFrom(r.Context())
		user <- claims.Subject + " " + strings.Join(claims.Roles, " ")
		if c, err := websocket.Accept(w, r, nil); err == nil {
			_, _, _ = c.Read(r.Context())
		}
	})))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := guard.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
		standIn.Close()
	})

	raw := strings.TrimSpace(do(t, http.MethodGet, standIn.URL+"/token?user=ada"))
	c, _, err := websocket.Dial(t.Context(), server.URL+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + raw}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if got := <-user; got != "keycloak|ada member" {
		t.Errorf("the user is %q", got)
	}
	if got := do(t, http.MethodPost, standIn.URL+"/logout?user=ada"); !strings.Contains(got, "200 OK") {
		t.Errorf("the logout is answered %q", got)
	}
	_, _, err = c.Read(t.Context())
	if end, ok := errors.AsType[websocket.CloseError](err); !ok || end.Code != 3000 || end.Reason != "session_ended" {
		t.Errorf("the socket ended with %v", err)
	}
}

func do(t *testing.T, method, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: got %d %s, %v, want %v", url, response.StatusCode, body, err, http.StatusOK)
	}
	return string(body)
}
