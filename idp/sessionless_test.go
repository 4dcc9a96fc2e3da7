package idp

import (
	"cmp"
	"context"
	"fmt"
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

// TestLogoutWhereTokensNameNoSession checks that a logout that is answered with
// 200 has ended something, whatever names the logout token and the access
// tokens use. If sessions cannot be distinguished, it ends all sessions of the
// user.
func TestLogoutWhereTokensNameNoSession(t *testing.T) {
	const (
		tenant = "https://login.microsoftonline.com/8d1f0a1b-2c3d-4e5f-8a9b-0c1d2e3f4a5b/v2.0"
		plain  = "https://id.example"
	)
	entra := Config{Preset: Entra, Issuer: tenant}
	keycloak := Config{Preset: Keycloak, Issuer: realm}
	standard := Config{Issuer: plain}
	explicit := Config{Preset: Entra, Issuer: tenant, Profile: &token.Profile{SessionID: "sid", Scopes: "scp"}}
	both, user, session := claims{}, claims{"sid": nil}, claims{"sub": nil}
	for _, test := range []struct {
		name      string
		config    Config
		sids      bool   // access tokens have a sid
		logout    claims // changes to a logout token that names user and session
		status    int
		own, also bool // whether the named session ends, and the user's other one
	}{
		{"entra, both", entra, false, both, 200, true, true},
		{"entra, user", entra, false, user, 200, true, true},
		{"entra, session", entra, false, session, 400, false, false},
		{"entra with sid, both", entra, true, both, 200, true, true},
		{"entra with sid, user", entra, true, user, 200, true, true},
		{"entra with sid, session", entra, true, session, 200, true, false},
		{"entra with a profile, both", explicit, true, both, 200, true, false},
		{"entra with a profile, session", explicit, true, session, 200, true, false},
		{"keycloak without sid, both", keycloak, false, both, 200, true, true},
		{"keycloak without sid, user", keycloak, false, user, 200, true, true},
		{"keycloak without sid, session", keycloak, false, session, 400, false, false},
		{"keycloak, both", keycloak, true, both, 200, true, false},
		{"keycloak, session", keycloak, true, session, 200, true, false},
		{"standard without sid, both", standard, false, both, 200, true, true},
		{"standard without sid, session", standard, false, session, 400, false, false},
		{"standard, session", standard, true, session, 200, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.config.Audience, test.config.Namespace = []string{"web"}, "idp"
			p, s := newProvider(t, test.config)
			guard := must(wsauth.New(wsauth.Config{Verifier: p.Verifier(), Revocations: memory.New(store.Limits{})}))
			t.Cleanup(func() { _ = guard.Shutdown(context.Background()) })
			h := must(NewHandler(guard, nil, p))
			access := func(user, sid string) *token.Claims {
				payload := claims{
					"iss": test.config.Issuer, "aud": "web", "sub": user, "iat": now(-time.Minute), "exp": now(time.Hour), "ver": "2.0", "azp": "web", "typ": "Bearer", "n": user + sid,
				}
				if test.sids {
					payload["sid"] = sid
				}
				typ := "JWT"
				if test.config.Preset == "" {
					typ = "at+jwt"
				}
				return must(p.Verifier().Verify(t.Context(), s.sign(claims{"typ": typ}, payload)))
			}
			own, also, other := access("ada", "s1"), access("ada", "s2"), access("bob", "s3")
			raw := s.sign(claims{"typ": "logout+jwt"}, with(with(logoutToken(), claims{"iss": test.config.Issuer}), test.logout))
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form(raw)))
			r.Header.Set("Content-Type", formType)
			w := httptest.NewRecorder()
			h.Logout(w, r)
			if w.Code != test.status {
				t.Errorf("status %d, want %d", w.Code, test.status)
			}
			for of, want := range map[*token.Claims]bool{own: test.own, also: test.also, other: false} {
				if ended := must(guard.Revoked(t.Context(), of)); ended != want {
					t.Errorf("%v: ended %t, want %t", of, ended, want)
				}
			}
		})
	}
}

// TestDoubtfulLogoutIsKept checks that a session is revoked even if this node
// has seen no access token of it, because other nodes may have.
func TestDoubtfulLogoutIsKept(t *testing.T) {
	p, s := newProvider(t, Config{Issuer: "https://id.example", Audience: []string{"web"}})
	guard := must(wsauth.New(wsauth.Config{Verifier: p.Verifier(), Revocations: memory.New(store.Limits{})}))
	t.Cleanup(func() { _ = guard.Shutdown(context.Background()) })
	raw := s.sign(claims{"typ": "logout+jwt"}, with(logoutToken(), claims{"iss": "https://id.example", "sub": nil}))
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form(raw)))
	r.Header.Set("Content-Type", formType)
	w := httptest.NewRecorder()
	must(NewHandler(guard, nil, p)).Logout(w, r)
	if ended := must(guard.Revoked(t.Context(), &token.Claims{Subject: "ada", SessionID: "s1"})); w.Code != 400 || !ended {
		t.Errorf("%d, ended %t", w.Code, ended)
	}
}

// TestLogoutWhereSomeTokensNameASession checks that if only some access tokens
// name a session, a logout of one session also ends the user's tokens that name
// none, because they may belong to it, but no other sessions. A node that has
// just started and has seen no access token does the same.
func TestLogoutWhereSomeTokensNameASession(t *testing.T) {
	for _, test := range []struct {
		config Config
		sid    string // the claim that names the session
	}{
		{Config{Preset: Keycloak, Issuer: realm}, "sid"},
		{Config{Preset: Cognito, Issuer: "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc"}, "origin_jti"},
		{Config{Preset: Auth0, Issuer: "https://shop.eu.auth0.com/", Profile: &token.Profile{SessionID: "sid"}}, "sid"},
		{Config{Issuer: "https://id.example", MediaType: "JWT", Profile: &token.Profile{SessionID: "session"}}, "session"},
	} {
		for _, fresh := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/fresh=%t", cmp.Or(test.config.Preset, Standard), fresh), func(t *testing.T) {
				test.config.Audience, test.config.Namespace = []string{"web"}, "idp"
				p, s := newProvider(t, test.config)
				revocations := memory.New(store.Limits{})
				guard := must(wsauth.New(wsauth.Config{Verifier: p.Verifier(), Revocations: revocations}))
				t.Cleanup(func() { _ = guard.Shutdown(context.Background()) })
				h := must(NewHandler(guard, nil, p))
				access := func(user string, sid any) *token.Claims {
					return must(p.Verifier().Verify(t.Context(), s.sign(claims{"typ": "JWT"}, with(claims{
						"iss": test.config.Issuer, "aud": "web", "client_id": "web", "sub": user, "typ": "Bearer", "token_use": "access",
						"iat": now(-time.Minute), "exp": now(time.Hour), "jti": fmt.Sprint(user, sid),
					}, claims{test.sid: sid}))))
				}
				logout := func() {
					raw := s.sign(claims{"typ": "logout+jwt"}, with(logoutToken(), claims{"iss": test.config.Issuer}))
					r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form(raw)))
					r.Header.Set("Content-Type", formType)
					w := httptest.NewRecorder()
					h.Logout(w, r)
					if w.Code != http.StatusOK {
						t.Fatalf("status %d", w.Code)
					}
				}
				if fresh {
					logout()
				}
				tokens := map[*token.Claims]bool{
					access("ada", "s1"): true, access("ada", nil): true,
					access("ada", "s2"): false, access("bob", nil): false, access("bob", "s3"): false,
				}
				if !fresh {
					logout()
				}
				for of, want := range tokens {
					if ended := must(guard.Revoked(t.Context(), of)); ended != want {
						t.Errorf("%v: ended %t, want %t", of, ended, want)
					}
				}
			})
		}
	}
}

// TestLogoutOfAnotherSubject checks that logout tokens and events that contain
// only the sub end the user's tokens even if access tokens name the user by
// another claim.
func TestLogoutOfAnotherSubject(t *testing.T) {
	iss := claims{"format": "iss_sub", "iss": realm, "sub": "248"}
	for _, subject := range []string{"email", "/user/name", "uid"} {
		for name, tt := range map[string]struct {
			change claims // of a logout token; nil for an event
			event  any
			status int
			others bool // ends tokens of other sessions, too
		}{
			"both":          {claims{"sub": "248"}, nil, 200, false},
			"user":          {claims{"sub": "248", "sid": nil}, nil, 200, true},
			"session":       {claims{"sub": nil}, nil, 200, false},
			"its own claim": {claims{"sub": nil, "sid": nil, "email": "ada@x.example", "uid": "ada", "user": claims{"name": "ada"}}, nil, 200, true},
			"no name":       {claims{"sub": nil, "sid": nil, "email": 7, "uid": claims{}, "user": claims{"name": true}}, nil, 400, false},
			"event":         {nil, iss, 202, true},
			"opaque":        {nil, claims{"format": "opaque", "id": "248"}, 202, true},
			"complex":       {nil, claims{"format": "complex", "user": iss}, 202, true},
		} {
			p, s := newProvider(t, Config{Preset: Keycloak, Issuer: realm, Audience: []string{"web"}, Namespace: "kc", Subject: subject})
			guard := must(wsauth.New(wsauth.Config{Verifier: p.Verifier(), Revocations: memory.New(store.Limits{})}))
			t.Cleanup(func() { _ = guard.Shutdown(context.Background()) })
			access := func(sub, user, sid string) *token.Claims {
				return must(p.Verifier().Verify(t.Context(), s.sign(nil, claims{
					"iss": realm, "aud": "web", "sub": sub, "sid": sid, "typ": "Bearer", "iat": now(-time.Minute), "exp": now(time.Hour), "jti": sid,
					"email": user + "@x.example", "email_verified": true, "uid": user, "user": claims{"name": user},
				})))
			}
			own, also, other := access("248", "ada", "s1"), access("248", "ada", "s2"), access("249", "bob", "s3")
			h := must(NewHandler(guard, nil, p))
			body, contentType, serve := "", formType, h.Logout
			if tt.change != nil {
				body = form(s.sign(nil, with(logoutToken(), tt.change)))
			} else {
				body, contentType, serve = s.sign(nil, eventToken(tt.event, claims{caep + "session-revoked": claims{}})), eventType, h.Event
			}
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
			r.Header.Set("Content-Type", contentType)
			w := httptest.NewRecorder()
			if serve(w, r); w.Code != tt.status {
				t.Errorf("%s, %s: got %d %s, want %v", subject, name, w.Code, w.Body, tt.status)
			}
			for of, want := range map[*token.Claims]bool{own: tt.status < 300, also: tt.others, other: false} {
				if ended := must(guard.Revoked(t.Context(), of)); ended != want {
					t.Errorf("%s, %s: %v: ended %t, want %t", subject, name, of, ended, want)
				}
			}
		}
	}
}

// TestLogoutOfAnInteger checks that a logout token may name the user by an
// integer, as access tokens do.
func TestLogoutOfAnInteger(t *testing.T) {
	for _, subject := range []string{"sub", "uid", "/user/id"} {
		p, s := newProvider(t, Config{Preset: Keycloak, Issuer: realm, Audience: []string{"web"}, Namespace: "kc", Subject: subject, IntegerSubjects: true})
		names := func(sub string, id any) claims {
			if subject == "sub" {
				return claims{"sub": id, "sid": nil}
			}
			return claims{"sub": sub, "sid": nil, "uid": id, "user": claims{"id": id}}
		}
		access := with(names("other", 7), claims{"iss": realm, "aud": "web", "typ": "Bearer", "iat": now(-time.Minute), "exp": now(time.Hour)})
		if c := must(p.Verifier().Verify(t.Context(), s.sign(nil, access))); c.Subject != "kc|7" {
			t.Fatalf("%s: got %v, want %q", subject, c, "kc|7")
		}
		e, err := p.Logout(t.Context(), s.sign(nil, with(logoutToken(), names("", 7))))
		if err != nil || len(e.Revocations) != 1 || e.Revocations[0].ID != "kc|7" {
			t.Errorf("%s: got %v, %v", subject, e, err)
		}
		for _, id := range []any{7.5, 1 << 53, true, claims{}} {
			if e, err := p.Logout(t.Context(), s.sign(nil, with(logoutToken(), names("", id)))); err == nil {
				t.Errorf("%s %v: got %v", subject, id, e)
			}
		}
	}
}

// TestLogoutOfASubThatNoTokenHas checks that a logout whose sub is in no access
// token is not answered with success, because it ends nothing.
func TestLogoutOfASubThatNoTokenHas(t *testing.T) {
	for sub, want := range map[any]int{"248": 200, nil: 400} {
		p, s := newProvider(t, Config{Preset: Keycloak, Issuer: realm, Audience: []string{"web"}, Subject: "uid"})
		guard := must(wsauth.New(wsauth.Config{Verifier: p.Verifier(), Revocations: memory.New(store.Limits{})}))
		t.Cleanup(func() { _ = guard.Shutdown(context.Background()) })
		access := claims{"iss": realm, "aud": "web", "sub": "248", "uid": "ada", "typ": "Bearer", "iat": now(-time.Minute), "exp": now(time.Hour)}
		must(p.Verifier().Verify(t.Context(), s.sign(nil, with(access, claims{"sub": sub}))))
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form(s.sign(nil, with(logoutToken(), claims{"sub": "248", "sid": nil})))))
		r.Header.Set("Content-Type", formType)
		w := httptest.NewRecorder()
		if must(NewHandler(guard, nil, p)).Logout(w, r); w.Code != want {
			t.Errorf("sub %v: %d, want %d", sub, w.Code, want)
		}
	}
}

// TestEventByEmail checks that an identifier with the format email names the
// user if the email is the subject (RFC 9493 section 3.2.2).
func TestEventByEmail(t *testing.T) {
	for subject, want := range map[string]bool{"email": true, "/email": true, "": false, "uid": false, "/user/email": false} {
		p, s := newProvider(t, Config{Preset: Keycloak, Issuer: realm, Audience: []string{"web"}, Namespace: "kc", Subject: subject})
		id := claims{"format": "email", "email": "ada@x.example"}
		for _, of := range []claims{id, {"format": "complex", "user": id}} {
			e, err := p.Event(t.Context(), s.sign(nil, eventToken(of, claims{caep + "session-revoked": claims{}})))
			if (err == nil) != want || want && (len(e.Revocations) != 1 || e.Revocations[0].ID != "kc|ada@x.example") {
				t.Errorf("subject %q: %v, %v", subject, e, err)
			}
		}
	}
}
