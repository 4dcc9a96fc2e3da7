package wsauth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"wsauth"
	"wsauth/token"
)

// TestAuthorizeHeldRequest: when a held request is renewed, Authorize gets the
// fields of the request that it is promised, and no others.
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
