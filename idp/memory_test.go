package idp

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"wsauth"
	"wsauth/store"
	"wsauth/store/memory"
)

// TestLogoutOutlivesEveryToken checks that a logout is remembered as long as
// any token of the session can be valid. A token that would live longer, or for
// an unknown time, is refused.
func TestLogoutOutlivesEveryToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := keycloak(t)
		guard := must(wsauth.New(wsauth.Config{Verifier: p.Verifier(), Revocations: memory.New(store.Limits{})}))
		defer func() { _ = guard.Shutdown(context.Background()) }()
		access := func(change claims) string {
			return s.sign(nil, with(claims{
				"iss": realm, "aud": "chat", "sub": "ada", "sid": "s1", "typ": "Bearer", "jti": "t", "iat": now(0), "exp": now(day),
			}, change))
		}
		check := func(raw string) error {
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			r.Header.Set("Authorization", "Bearer "+raw)
			_, err := guard.Check(r, wsauth.Access)
			return err
		}
		raws := map[string]string{
			"of a day": access(nil), "of three days": access(claims{"exp": now(3 * day)}), "of three days, without iat": access(claims{"exp": now(3 * day), "iat": nil}),
		}
		if err := check(raws["of a day"]); err != nil {
			t.Fatalf("before the logout: %v", err)
		}
		e := must(p.Logout(t.Context(), s.sign(claims{"typ": "logout+jwt"}, logoutToken())))
		must(guard.Revoke(t.Context(), e.Revocations...))
		for hour := range 75 {
			for name, raw := range raws {
				want := wsauth.TokenInvalid // its lifetime is too long
				switch {
				case name == "of a day" && hour > 24, name == "of three days" && hour > 72:
					want = wsauth.TokenExpired
				case name == "of a day":
					want = wsauth.TokenRevoked
				}
				if refused, ok := errors.AsType[*wsauth.Error](check(raw)); !ok || refused.Reason != want {
					t.Fatalf("%s: %v %d hours after the logout, want %v", name, refused, hour, want)
				}
			}
			time.Sleep(time.Hour)
		}
	})
}
