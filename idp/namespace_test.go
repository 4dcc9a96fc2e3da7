package idp

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wsauth"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// TestJ27_LogoutOfAnotherProvider checks that a provider can end its own
// sessions and users, but none of another provider, whatever names it uses.
func TestJ27_LogoutOfAnotherProvider(t *testing.T) {
	plain, s := newProvider(t, Config{Issuer: "https://a.example", Audience: []string{"chat"}})
	other, _ := newProvider(t, Config{Issuer: "https://b.example", Audience: []string{"chat"}, Namespace: "b"})
	guard := must(wsauth.New(wsauth.Config{Verifier: must(token.NewVerifiers(plain.Verifier(), other.Verifier())), Revocations: memory.New(store.Limits{})}))
	t.Cleanup(func() { _ = guard.Shutdown(context.Background()) })
	h := must(NewHandler(guard, nil, plain, other))
	logout := func(change claims) int {
		raw := s.sign(claims{"typ": "logout+jwt"}, with(with(logoutToken(), claims{"iss": "https://a.example", "aud": "chat"}), change))
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form(raw)))
		r.Header.Set("Content-Type", formType)
		w := httptest.NewRecorder()
		h.Logout(w, r)
		return w.Code
	}
	if status := logout(claims{"jti": "1", "sid": "b|s1"}); status != http.StatusBadRequest {
		t.Errorf("a session of another: %d", status)
	}
	if status := logout(claims{"jti": "2", "sub": "b|ada", "sid": nil}); status != http.StatusBadRequest {
		t.Errorf("a user of another: %d", status)
	}
	if status := logout(claims{"jti": "b|1", "sid": nil}); status != http.StatusBadRequest {
		t.Errorf("the statement of another: %d", status)
	}
	if must(guard.Revoked(t.Context(), &token.Claims{Subject: "b|ada", SessionID: "b|s1", ID: "t", IssuedAt: time.Now().Add(-time.Minute)})) {
		t.Error("a provider has ended a session of another")
	}
	if status := logout(claims{"jti": "3", "sub": "bob", "sid": "bad|s1"}); status != http.StatusOK {
		t.Errorf("a session of its own: %d", status)
	}
}

func TestNewHandlerNamespaces(t *testing.T) {
	for _, namespace := range []string{"", "same"} {
		a, _ := newProvider(t, Config{Issuer: "https://a.example", Audience: []string{"chat"}, Namespace: namespace})
		b, _ := newProvider(t, Config{Issuer: "https://b.example", Audience: []string{"chat"}, Namespace: namespace})
		if _, err := NewHandler(nil, nil, a, b); err == nil || !strings.Contains(err.Error(), "each could end") {
			t.Errorf("namespace %q: %v", namespace, err)
		}
	}
}
