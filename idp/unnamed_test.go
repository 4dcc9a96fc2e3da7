package idp

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"

	"wsauth"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// TestTokensWithoutNamesAreRevoked checks that single access tokens without a
// jti and a sid can be revoked. Their sockets end, they open no others, and the
// user's other tokens stay valid.
func TestTokensWithoutNamesAreRevoked(t *testing.T) {
	const audience = "chat"
	secret := []byte("a secret that is long enough for HMAC")
	for name, tt := range map[string]struct {
		config  Config
		payload claims
	}{
		"auth0":                  {Config{Preset: Auth0, Issuer: "https://shop.eu.auth0.com/"}, claims{"azp": "x", "scope": "openid", "permissions": []string{"read:chat"}}},
		"google":                 {Config{Preset: Google, Issuer: "https://accounts.google.com"}, claims{"azp": audience, "email": "ada@example.com", "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q"}},
		"firebase":               {Config{Issuer: "https://securetoken.google.com/shop", MediaType: "JWT"}, claims{"auth_time": now(-time.Hour), "user_id": "ada", "firebase": claims{"sign_in_provider": "password"}}},
		"apple":                  {Config{Issuer: "https://appleid.apple.com", MediaType: "JWT"}, claims{"auth_time": now(-time.Hour), "email": "ada@example.com", "email_verified": "true"}},
		"supabase":               {Config{Issuer: "https://shop.supabase.co/auth/v1", MediaType: "JWT"}, claims{"role": "authenticated", "session_id": "s", "aal": "aal1", "amr": []claims{{"method": "password"}}}},
		"supabase with a secret": {Config{Issuer: "https://shop.supabase.co/auth/v1"}, claims{"role": "authenticated", "session_id": "s"}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.config.Audience, tt.config.Namespace = []string{audience}, "idp"
			p, s := newProvider(t, tt.config)
			verifier := p.Verifier()
			issue := func(n int) string {
				return s.sign(claims{"typ": "JWT"}, with(tt.payload, claims{
					"iss": tt.config.Issuer, "aud": audience, "sub": "ada", "iat": now(-time.Minute), "exp": now(time.Hour), "n": n,
				}))
			}
			if name == "supabase with a secret" {
				verifier = must(token.NewVerifier(token.VerifierConfig{
					Keys: must(token.NewKeySet(must(token.NewKey(token.HS256, secret, token.KeyOptions{})))), Audience: []string{audience}, Profile: &token.Profile{},
				}))
				issue = func(n int) string {
					encode := base64.RawURLEncoding.EncodeToString
					signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(must(json.Marshal(claims{"aud": audience, "sub": "ada", "exp": now(time.Hour), "n": n})))
					mac := hmac.New(sha256.New, secret)
					mac.Write([]byte(signed))
					return signed + "." + encode(mac.Sum(nil))
				}
			}
			revokeUnnamed(t, verifier, issue(1), issue(2))
		})
	}
}

func revokeUnnamed(t *testing.T, verifier *token.Verifier, first, second string) {
	t.Helper()
	lookups := make(chan string, 100)
	guard := must(wsauth.New(wsauth.Config{
		Verifier: verifier, Revocations: memory.New(store.Limits{}), Tickets: memory.New(store.Limits{}), Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Ticket{}},
		Denylist: func(_ context.Context, c *token.Claims) (bool, error) {
			lookups <- c.ID
			return false, nil
		},
	}))
	mux := http.NewServeMux()
	mux.Handle("/ws", guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := websocket.Accept(w, r, nil); err == nil {
			_, _, _ = c.Read(r.Context())
			_ = c.CloseNow()
		}
	})))
	server := httptest.NewServer(mux)
	defer server.Close()
	defer func() { _ = guard.Shutdown(context.Background()) }()
	var open []*websocket.Conn
	defer func() {
		for _, c := range open {
			_ = c.CloseNow()
		}
	}()
	dial := func(query string, header http.Header) (*websocket.Conn, error) {
		c, resp, err := websocket.Dial(t.Context(), server.URL+"/ws"+query, &websocket.DialOptions{HTTPHeader: header})
		if err == nil {
			open = append(open, c)
		}
		return c, refusal(resp, err)
	}
	by := func(raw string) http.Header { return http.Header{"Authorization": {"Bearer " + raw}} }
	one, other := must(dial("", by(first))), must(dial("", by(second)))
	claims := must(verifier.Verify(t.Context(), first))
	if claims.ID == "" || <-lookups != claims.ID {
		t.Fatalf("the ID is %q, and the application gets another one", claims.ID)
	}
	ticket := must(guard.IssueTicket(t.Context(), claims, wsauth.TicketFor{Path: "/ws"}))
	late := must(guard.IssueTicket(t.Context(), claims, wsauth.TicketFor{Path: "/ws"}))
	byTicket := must(dial("?ticket="+ticket, nil))

	n, err := guard.Revoke(t.Context(), store.Revocation{Target: store.TargetToken, ID: claims.ID, Expires: claims.ValidUntil()})
	if err != nil || n != 2 {
		t.Errorf("%d sockets have ended, %v", n, err)
	}
	for _, c := range []*websocket.Conn{one, byTicket} {
		_, _, err := c.Read(t.Context())
		if end, ok := errors.AsType[websocket.CloseError](err); !ok || end.Code != 3000 || end.Reason != "token_revoked" {
			t.Errorf("ended with %v", err)
		}
	}
	if _, err := dial("", by(first)); err == nil || err.Error() != "401 token_revoked" {
		t.Errorf("the token opens a socket again: %v", err)
	}
	if _, err := dial("?ticket="+late, nil); err == nil || err.Error() != "401 token_revoked" {
		t.Errorf("a ticket for the token opens a socket: %v", err)
	}
	wantOpen(t, other)
	if _, err := dial("", by(second)); err != nil {
		t.Errorf("another token of the user: %v", err)
	}
}
