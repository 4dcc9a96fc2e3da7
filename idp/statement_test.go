package idp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"wsauth"
	"wsauth/internal/revindex"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

const realm = "https://sso.example/realms/shop"

func newProvider(t testing.TB, c Config) (*Provider, signer) {
	t.Helper()
	s := newSigner()
	c.Keys = s.keys()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p, s
}

func keycloak(t testing.TB) (*Provider, signer) {
	t.Helper()
	return newProvider(t, Config{Preset: Keycloak, Issuer: realm, Audience: []string{"chat"}, ClientIDs: []string{"web"}, Namespace: "kc"})
}

// logoutToken returns the claims of a logout token of Keycloak.
func logoutToken() claims {
	return claims{
		"iss": realm, "aud": "web", "iat": now(0), "exp": now(2 * time.Minute), "jti": "logout-1", "sub": "ada", "sid": "s1", "typ": "Logout",
		"events": claims{logoutEvent: claims{"revoke_offline_access": true}},
	}
}

// TestLogoutToken checks which sessions logout tokens end, and that no other
// token is accepted as one.
func TestLogoutToken(t *testing.T) {
	p, s := keycloak(t)
	both := []store.Target{store.TargetSession, store.TargetSessionless}
	for name, tt := range map[string]struct {
		header, change claims
		want           error
		targets        []store.Target
	}{
		"session":        {claims{"typ": "logout+jwt"}, nil, nil, both},
		"typ JWT":        {claims{"typ": "JWT"}, nil, nil, both},
		"no typ":         {nil, nil, nil, both},
		"user":           {nil, claims{"sid": nil}, nil, []store.Target{store.TargetSubject}},
		"neither":        {nil, claims{"sid": nil, "sub": nil}, ErrSubject, nil},
		"no events":      {nil, claims{"events": nil}, ErrNotLogout, nil},
		"another event":  {nil, claims{"events": claims{"x": claims{}}}, ErrNotLogout, nil},
		"one more event": {nil, claims{"events": claims{logoutEvent: claims{}, "x": claims{}}}, nil, both},
		"event is null":  {nil, claims{"events": claims{logoutEvent: nil}}, ErrNotLogout, nil},
		"a remark":       {nil, claims{"events": claims{logoutEvent: claims{}, "revoke_offline_access": true}}, nil, both},
		"a false one":    {nil, claims{"events": claims{logoutEvent: claims{}, "revoke_offline_access": false}}, nil, both},
		"one of text":    {nil, claims{"events": claims{logoutEvent: claims{}, "revoke_offline_access": "true"}}, nil, both},
		"many more":      {nil, claims{"events": claims{logoutEvent: claims{}, "a": nil, "b": 1, "c": []any{claims{}}, "d": claims{"sub": 7}}}, nil, both},
		"a remark alone": {nil, claims{"events": claims{"revoke_offline_access": true}}, ErrNotLogout, nil},
		"in a list":      {nil, claims{"events": []any{logoutEvent}}, ErrNotLogout, nil},
		"in another":     {nil, claims{"events": claims{"x": claims{logoutEvent: claims{}}}}, ErrNotLogout, nil},
		"other case":     {nil, claims{"events": claims{strings.ToUpper(logoutEvent): claims{}}}, ErrNotLogout, nil},
		"event is text":  {nil, claims{"events": claims{logoutEvent: "yes"}}, ErrNotLogout, nil},
		"nonce":          {nil, claims{"nonce": "n"}, ErrNotLogout, nil},
		"no exp":         {nil, claims{"exp": nil}, nil, both},
		"no exp, no iat": {nil, claims{"exp": nil, "iat": nil}, token.ErrClaims, nil},
		"no exp, no jti": {nil, claims{"exp": nil, "jti": nil}, token.ErrClaims, nil},
		"no exp, old":    {nil, claims{"exp": nil, "iat": now(-time.Hour)}, token.ErrExpired, nil},
		"expired":        {nil, claims{"exp": now(-time.Minute)}, token.ErrExpired, nil},
		"old":            {nil, claims{"iat": now(-time.Hour)}, token.ErrExpired, nil},
		"just too old":   {nil, claims{"iat": now(-5*time.Minute - 32*time.Second)}, token.ErrExpired, nil},
		"not too old":    {nil, claims{"iat": now(-5*time.Minute - 15*time.Second)}, nil, both},
		"from ahead":     {nil, claims{"iat": now(15 * time.Second)}, nil, both},
		"too far ahead":  {nil, claims{"iat": now(45 * time.Second)}, token.ErrIssuedInFuture, nil},
		"just expired":   {nil, claims{"exp": now(-15 * time.Second)}, nil, both},
		"no jti":         {nil, claims{"jti": nil}, token.ErrClaims, nil},
		"audience":       {nil, claims{"aud": "chat"}, token.ErrAudience, nil},
		"issuer":         {nil, claims{"iss": realm + "2"}, token.ErrIssuer, nil},
		"access token":   {nil, claims{"events": nil, "typ": "Bearer"}, ErrNotLogout, nil},
		"an event token": {claims{"typ": "secevent+jwt"}, nil, token.ErrMalformed, nil},
	} {
		e, err := p.Logout(context.Background(), s.sign(tt.header, with(logoutToken(), tt.change)))
		if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if len(e.Revocations) != len(tt.targets) {
			t.Errorf("%s: ends %v", name, e.Revocations)
			continue
		}
		if want := map[bool]string{true: "kc|logout-1"}[err == nil]; e.ID != want {
			t.Errorf("%s: ID %q, want %q", name, e.ID, want)
		}
		for i, r := range e.Revocations {
			want := map[store.Target]string{store.TargetSession: "kc|s1", store.TargetSubject: "kc|ada", store.TargetSessionless: "kc|ada"}[tt.targets[i]]
			if r.Target != tt.targets[i] || r.ID != want || r.Expires.Before(time.Now().Add(day)) {
				t.Errorf("%s: ends %v %q until %v", name, r.Target, r.ID, r.Expires)
			}
		}
	}
	if _, err := p.Logout(context.Background(), newSigner().sign(nil, logoutToken())); !errors.Is(err, token.ErrSignature) {
		t.Errorf("signed by another: %v", err)
	}
}

// TestLogoutTokenOfASessionlessProvider checks that a logout ends all of the
// user's sessions if access tokens name no session.
func TestLogoutTokenOfASessionlessProvider(t *testing.T) {
	p, s := newProvider(t, Config{Preset: Auth0, Issuer: "https://shop.eu.auth0.com/", Audience: []string{"api"}, ClientIDs: []string{"web"}})
	e, err := p.Logout(context.Background(), s.sign(nil, with(logoutToken(), claims{"iss": "https://shop.eu.auth0.com/"})))
	if err != nil || len(e.Revocations) != 2 || e.Revocations[1].Target != store.TargetSubject || e.Revocations[1].ID != "ada" {
		t.Errorf("got %v, %v", e, err)
	}
	if _, err := p.Logout(context.Background(), s.sign(nil, with(logoutToken(), claims{"iss": "https://shop.eu.auth0.com/", "sub": nil}))); !errors.Is(err, ErrSubject) {
		t.Errorf("with only a session: %v", err)
	}
}

// TestLogoutTokenOfASessionlessProviderWithAProfile checks that with a custom
// profile, a logout ends all of the user's sessions unless the profile says
// which claim names the session.
func TestLogoutTokenOfASessionlessProviderWithAProfile(t *testing.T) {
	const tenant = "https://shop.eu.auth0.com/"
	for session, wantUser := range map[string]bool{"": true, "https://app.example/sid": false} {
		p, s := newProvider(t, Config{
			Preset: Auth0, Issuer: tenant, Audience: []string{"api"}, ClientIDs: []string{"web"}, Profile: &token.Profile{Roles: "/https:~1~1app~1roles", SessionID: session},
		})
		access := must(p.Verifier().Verify(t.Context(), s.sign(nil, claims{
			"iss": tenant, "aud": "api", "sub": "ada", "https://app.example/sid": "s1", "iat": now(-time.Minute), "exp": now(time.Hour),
		})))
		e := must(p.Logout(t.Context(), s.sign(nil, with(logoutToken(), claims{"iss": tenant}))))
		ended, user := false, false
		for _, r := range e.Revocations {
			ended = ended || revindex.Concerns(r, access)
			user = user || r.Target == store.TargetSubject
		}
		if !ended || user != wantUser {
			t.Errorf("SessionID %q: %v", session, e)
		}
	}
}

// TestLogoutTokenOfAStandardProvider checks that at a provider that follows RFC
// 9068, a logout also ends all of the user's sessions. RFC 9068 does not define
// sid, so it is unknown whether access tokens name the session.
func TestLogoutTokenOfAStandardProvider(t *testing.T) {
	const issuer = "https://id.example"
	for session, profile := range map[string]*token.Profile{"": nil, "s1": {SessionID: "sid"}} {
		p, s := newProvider(t, Config{Issuer: issuer, Audience: []string{"api"}, ClientIDs: []string{"web"}, Profile: profile})
		change := claims{"iss": issuer, "aud": "api", "sub": "ada", "sid": nil, "iat": now(-time.Minute), "exp": now(time.Hour)}
		if session != "" {
			change["sid"] = session
		}
		access := must(p.Verifier().Verify(t.Context(), s.sign(claims{"typ": "at+jwt"}, with(claims{}, change))))
		e := must(p.Logout(t.Context(), s.sign(nil, with(logoutToken(), claims{"iss": issuer}))))
		ended := false
		for _, r := range e.Revocations {
			ended = ended || revindex.Concerns(r, access)
			if r.Target == store.TargetSubject && session != "" {
				t.Error("all sessions end although tokens name the session")
			}
		}
		if !ended {
			t.Errorf("sid %q: %v", session, e)
		}
		if _, err := p.Logout(t.Context(), s.sign(nil, with(logoutToken(), claims{"iss": issuer, "sub": nil}))); err != nil {
			t.Errorf("only a session: %v", err)
		}
	}
}

const caep = "https://schemas.openid.net/secevent/caep/event-type/"

func eventToken(subject any, events claims) claims {
	return claims{"iss": realm, "aud": "web", "iat": now(0), "jti": "event-1", "sub_id": subject, "events": events}
}

// TestEventSubjects checks that an event ends the user or the session that its
// identifier names, and that other identifiers are refused.
func TestEventSubjects(t *testing.T) {
	p, s := keycloak(t)
	happened := now(-10 * time.Second)
	user := claims{"format": "iss_sub", "iss": realm, "sub": "ada"}
	session := claims{"format": "opaque", "id": "s1"}
	for name, tt := range map[string]struct {
		subject any
		want    map[store.Target]string
	}{
		"draft":             {claims{"subject_type": "iss-sub", "iss": realm, "sub": "ada"}, map[store.Target]string{store.TargetSubject: "kc|ada"}},
		"draft, underscore": {claims{"subject_type": "iss_sub", "iss": realm, "sub": "ada"}, map[store.Target]string{store.TargetSubject: "kc|ada"}},
		"draft in complex":  {claims{"user": claims{"subject_type": "iss-sub", "iss": realm, "sub": "ada"}}, map[store.Target]string{store.TargetSubject: "kc|ada"}},
		"draft, another":    {claims{"subject_type": "iss-sub", "iss": realm + "/", "sub": "ada"}, nil},
		"draft, email":      {claims{"subject_type": "email", "email": "ada@shop.example"}, nil},
		"both, unlike":      {claims{"format": "email", "subject_type": "iss-sub", "iss": realm, "sub": "ada"}, nil},
		"user":              {user, map[store.Target]string{store.TargetSubject: "kc|ada"}},
		"opaque":            {session, map[store.Target]string{store.TargetSubject: "kc|s1", store.TargetSession: "kc|s1"}},
		"session of a user": {claims{"format": "complex", "session": session, "user": user}, map[store.Target]string{store.TargetSession: "kc|s1", store.TargetSessionless: "kc|ada"}},
		"complex user":      {claims{"format": "complex", "user": user}, map[store.Target]string{store.TargetSubject: "kc|ada"}},
		"another issuer":    {claims{"format": "iss_sub", "iss": realm + "2", "sub": "ada"}, nil},
		"its user":          {claims{"format": "complex", "user": claims{"format": "iss_sub", "iss": realm + "2", "sub": "ada"}}, nil},
		"email":             {claims{"format": "email", "email": "ada@shop.example"}, nil},
		"empty":             {claims{"format": "iss_sub", "iss": realm}, nil},
		"nobody":            {nil, nil},
		"a tenant":          {claims{"format": "complex", "tenant": session}, nil},
	} {
		for _, event := range endingEvents {
			raw := s.sign(claims{"typ": "secevent+jwt"}, eventToken(tt.subject, claims{event: claims{"event_timestamp": happened}}))
			e, err := p.Event(context.Background(), raw)
			if (err == nil) != (tt.want != nil) || err != nil && !errors.Is(err, ErrSubject) {
				t.Errorf("%s: %v", name, err)
			}
			got := map[store.Target]string{}
			for _, r := range e.Revocations {
				if got[r.Target] = r.ID; r.Target != store.TargetSession && r.Before.Unix() != happened {
					t.Errorf("%s: until %v", name, r.Before)
				}
			}
			if len(got) != len(tt.want) || got[store.TargetSubject] != tt.want[store.TargetSubject] || got[store.TargetSession] != tt.want[store.TargetSession] || got[store.TargetSessionless] != tt.want[store.TargetSessionless] {
				t.Errorf("%s: ends %v, want %v", name, got, tt.want)
			}
		}
	}
}

// TestEvents checks that an event that ends nothing is acknowledged, and that
// other tokens are refused.
func TestEvents(t *testing.T) {
	p, s := keycloak(t)
	user := claims{"format": "iss_sub", "iss": realm, "sub": "ada"}
	revoked := claims{caep + "session-revoked": claims{}}
	for name, tt := range map[string]struct {
		header, payload claims
		ends            int
		want            error
	}{
		"session revoked":   {claims{"typ": "secevent+jwt"}, eventToken(user, revoked), 1, nil},
		"older draft":       {claims{"typ": "secevent+jwt"}, eventToken(nil, claims{caep + "session-revoked": claims{"subject": user}}), 1, nil},
		"sub":               {claims{"typ": "secevent+jwt"}, with(eventToken(nil, revoked), claims{"sub_id": nil, "sub": "ada"}), 1, nil},
		"verification":      {claims{"typ": "secevent+jwt"}, eventToken(user, claims{"https://schemas.openid.net/secevent/ssf/event-type/verification": claims{}}), 0, nil},
		"among others":      {claims{"typ": "secevent+jwt"}, eventToken(user, claims{caep + "session-revoked": claims{}, "a": true, "b": nil, "c": "x", "d": claims{"event_timestamp": "y", "subject": 1}}), 1, nil},
		"others alone":      {claims{"typ": "secevent+jwt"}, eventToken(7, claims{"a": true, "d": claims{"subject": 1}}), 0, nil},
		"known one is text": {claims{"typ": "secevent+jwt"}, eventToken(user, claims{caep + "session-revoked": "x"}), 0, token.ErrClaims},
		"bad sub_id":        {claims{"typ": "secevent+jwt"}, eventToken(7, revoked), 0, token.ErrClaims},
		"two":               {claims{"typ": "secevent+jwt"}, eventToken(user, claims{caep + "session-revoked": claims{}, caep + "credential-change": claims{}}), 2, nil},
		"no typ":            {nil, eventToken(user, revoked), 1, nil},
		"typ JWT":           {claims{"typ": "JWT"}, eventToken(user, revoked), 1, nil},
		"typ of a token":    {claims{"typ": "at+jwt"}, eventToken(user, revoked), 0, token.ErrMalformed},
		"no typ, no events": {nil, with(eventToken(user, nil), claims{"events": nil}), 0, token.ErrClaims},
		"a logout token":    {nil, logoutToken(), 0, token.ErrClaims},
		"another iss":       {nil, with(eventToken(user, revoked), claims{"iss": realm + "/"}), 0, token.ErrIssuer},
		"typ of a logout":   {claims{"typ": "logout+jwt"}, eventToken(user, revoked), 0, token.ErrMalformed},
		"no events":         {claims{"typ": "secevent+jwt"}, with(eventToken(user, nil), claims{"events": nil}), 0, token.ErrClaims},
		"events are a list": {claims{"typ": "secevent+jwt"}, with(eventToken(user, nil), claims{"events": []string{"x"}}), 0, token.ErrClaims},
		"no jti":            {claims{"typ": "secevent+jwt"}, with(eventToken(user, revoked), claims{"jti": nil}), 0, token.ErrClaims},
		"audience":          {claims{"typ": "secevent+jwt"}, with(eventToken(user, revoked), claims{"aud": "other"}), 0, token.ErrAudience},
		"later than said":   {claims{"typ": "secevent+jwt"}, eventToken(user, claims{caep + "session-revoked": claims{"event_timestamp": now(time.Hour)}}), 1, nil},
	} {
		e, err := p.Event(context.Background(), s.sign(tt.header, tt.payload))
		if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) || len(e.Revocations) != tt.ends {
			t.Errorf("%s: got %v, %v", name, e, err)
		}
		for _, r := range e.Revocations {
			if r.Before.After(time.Now()) {
				t.Errorf("%s: until %v", name, r.Before)
			}
		}
	}
}

// TestEventTimestamp checks that a timestamp may have a fraction. An event with
// an invalid one ends everything until the statement was issued.
func TestEventTimestamp(t *testing.T) {
	p, s := keycloak(t)
	issued := now(0)
	for text, want := range map[string]time.Time{
		fmt.Sprint(issued - 10):                  time.Unix(issued-10, 0),
		fmt.Sprintf("%d.25", issued-10):          time.Unix(issued-10, 250e6),
		fmt.Sprintf("%d.5e3", (issued-500)/1000): time.Unix((issued-500)/1000*1000+500, 0),
		fmt.Sprint((issued - 10) * 1000):         time.Unix(issued, 0), // in milliseconds
		fmt.Sprint(issued + 1):                   time.Unix(issued, 0),
		fmt.Sprint(issued) + ".75":               time.Unix(issued, 0),
		"0":                                      time.Unix(issued, 0),
		"-1.5":                                   time.Unix(issued, 0),
		"null":                                   time.Unix(issued, 0),
		`"` + fmt.Sprint(issued-10) + `"`:        time.Unix(issued, 0),
		"true":                                   time.Unix(issued, 0),
		"[1]":                                    time.Unix(issued, 0),
	} {
		payload := fmt.Sprintf(`{"iss":%q,"aud":"web","iat":%d,"jti":"e","sub":"ada","events":{%q:{"event_timestamp":%s}}}`, realm, issued, caep+"session-revoked", text)
		e, err := p.Event(t.Context(), s.signText(`{"alg":"RS256","kid":"k"}`, payload))
		if err != nil || len(e.Revocations) != 1 || !e.Revocations[0].Before.Equal(want) {
			t.Errorf("%s: %v, %v, want %v", text, e, err, want)
		}
	}
}

// TestEventIssuer checks that events may have their own exact iss, and that it
// is not accepted in other tokens.
func TestEventIssuer(t *testing.T) {
	const google, slash = "https://accounts.google.com", "https://accounts.google.com/"
	for name, tt := range map[string]struct {
		config Config
		good   []string // the iss of events
	}{
		"google":       {Config{Preset: Google, Issuer: google}, []string{slash}},
		"google, set":  {Config{Preset: Google, Issuer: google, EventIssuer: google}, []string{google}},
		"standard":     {Config{Issuer: realm}, []string{realm}},
		"with a slash": {Config{Issuer: realm, EventIssuer: realm + "/"}, []string{realm + "/"}},
		"another host": {Config{Issuer: realm, EventIssuer: "https://risc.example"}, []string{"https://risc.example"}},
	} {
		tt.config.Audience = []string{"web"}
		p, s := newProvider(t, tt.config)
		guard := must(wsauth.New(wsauth.Config{Verifier: p.Verifier(), Revocations: memory.New(store.Limits{})}))
		t.Cleanup(func() { _ = guard.Shutdown(context.Background()) })
		log := new(bytes.Buffer)
		h := must(NewHandler(guard, slog.New(slog.NewTextHandler(log, nil)), p))
		for i, iss := range []string{google, slash, realm, realm + "/", "https://risc.example"} {
			for _, subject := range []string{tt.config.Issuer, tt.good[0]} {
				payload := claims{
					"iss": iss, "aud": "web", "iat": now(0), "jti": fmt.Sprint(name, i, subject),
					"events": claims{endingEvents[4]: claims{"subject": claims{"subject_type": "iss-sub", "iss": subject, "sub": "ada"}}},
				}
				r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(s.sign(nil, payload)))
				r.Header.Set("Content-Type", eventType)
				w := httptest.NewRecorder()
				if h.Event(w, r); (w.Code == http.StatusAccepted) != slices.Contains(tt.good, iss) {
					t.Errorf("%s: events of %s: %d %s", name, iss, w.Code, w.Body)
				}
				if w.Code != http.StatusAccepted && !strings.Contains(log.String(), "event_issuer") {
					t.Errorf("%s: the log does not name the setting: %s", name, log)
				}
				log.Reset()
			}
			if e, err := p.Logout(t.Context(), s.sign(nil, with(logoutToken(), claims{"iss": iss}))); (err == nil) != (iss == tt.config.Issuer) {
				t.Errorf("%s: a logout token of %s: %v, %v", name, iss, e, err)
			}
			access := claims{"iss": iss, "aud": "web", "sub": "ada", "iat": now(0), "exp": now(time.Minute)}
			if _, err := p.Verifier().Verify(t.Context(), s.sign(claims{"typ": map[bool]string{true: "at+jwt"}[tt.config.Preset == ""]}, access)); (err == nil) != (iss == tt.config.Issuer) && tt.config.Preset == "" {
				t.Errorf("%s: an access token of %s: %v", name, iss, err)
			}
		}
	}
	a, _ := newProvider(t, Config{Issuer: realm, Audience: []string{"a"}, Namespace: "a", EventIssuer: "https://b.example"})
	b, _ := newProvider(t, Config{Issuer: "https://b.example", Audience: []string{"b"}, Namespace: "b"})
	if _, err := NewHandler(nil, nil, a, b); err == nil {
		t.Error("two providers with the same event issuer are accepted")
	}
}
