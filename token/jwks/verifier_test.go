package jwks

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/internal/idptest"
	"wsauth/token"
)

// access signs an access token of p, with changes to its header and claims. A
// nil value removes a member.
func access(p *idptest.Provider, header, claims map[string]any) string {
	h := map[string]any{"typ": "at+jwt"}
	maps.Copy(h, header)
	c := map[string]any{"aud": "chat", "sub": "ada", "iat": time.Now().Unix(), "exp": time.Now().Unix() + 3600}
	maps.Copy(c, claims)
	return p.Sign(h, c)
}

// TestNewVerifierWhileProviderIsDown checks that NewVerifier does not wait for
// the provider, that a token is neither accepted nor refused while the keys are
// unknown, and that the keys are then fetched in the background.
func TestNewVerifierWhileProviderIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := idptest.NewInMemory(t, issuer)
		p.Down()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var log strings.Builder
		v, err := NewVerifier(ctx, Config{
			Issuer: issuer, Audience: []string{"chat"}, Transport: p.Transport(), Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		_, err = v.Verify(ctx, access(p, nil, nil))
		if _, refused := errors.AsType[*token.Error](err); refused || !errors.Is(err, ErrUnavailable) {
			t.Fatalf("while the provider is down: %v", err)
		}
		p.Up()
		time.Sleep(2 * lastRetry)
		fetches := p.Fetches(idptest.JWKS)
		if c, err := v.Verify(ctx, access(p, nil, nil)); err != nil || c.Subject != "ada" || c.Type != token.TypeAccess {
			t.Fatalf("after it is up: %v, %v", c, err)
		}
		if fetches == 0 || p.Fetches(idptest.JWKS) != fetches {
			t.Errorf("%d fetches before the first token, then %d", fetches, p.Fetches(idptest.JWKS))
		}
		synctest.Wait()
		if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "fetched again") {
			t.Errorf("the log is %q", log.String())
		}
	})
}

// TestNewVerifierEndsWithContext checks that after the end of its context, a
// verifier uses the keys that it has, starts no fetch and logs nothing. The
// bubble ends only when all goroutines have ended.
func TestNewVerifierEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := idptest.NewInMemory(t, issuer)
		ctx, cancel := context.WithCancel(t.Context())
		var log strings.Builder
		v, err := NewVerifier(ctx, Config{
			Issuer: issuer, Audience: []string{"chat"}, Transport: p.Transport(), Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // until the keys are fetched
		known := access(p, nil, nil)
		if _, err := v.Verify(t.Context(), known); err != nil {
			t.Fatal(err)
		}
		// The next refresh hangs and is aborted.
		p.Answer("", idptest.Hang)
		for before := p.Fetches(idptest.Discovery); p.Fetches(idptest.Discovery) == before; {
			time.Sleep(time.Second)
		}
		cancel()
		synctest.Wait()
		p.Answer("", nil)
		fetches := p.Fetches(idptest.Discovery) + p.Fetches(idptest.JWKS)
		time.Sleep(30 * time.Minute)
		if _, err := v.Verify(t.Context(), known); err != nil {
			t.Errorf("with a known key: %v", err)
		}
		p.Rotate("key-2", "ES256")
		if _, err := v.Verify(t.Context(), access(p, nil, nil)); err == nil {
			t.Error("a token with an unknown key is accepted")
		}
		synctest.Wait()
		if n := p.Fetches(idptest.Discovery) + p.Fetches(idptest.JWKS); n != fetches {
			t.Errorf("%d fetches after the end", n-fetches)
		}
		if log.Len() > 0 {
			t.Errorf("the log is %q", log.String())
		}
	})
}

// TestNewVerifierRules checks that the verifier accepts only access tokens of
// the provider for this server.
func TestNewVerifierRules(t *testing.T) {
	p := idptest.New(t)
	newVerifier := func(mediaType string) *token.Verifier {
		return must(NewVerifier(t.Context(), Config{Issuer: p.Issuer(), URL: p.KeysURL(), Audience: []string{"chat", "shop"}, MediaType: mediaType}))
	}
	strict, lenient := newVerifier(""), newVerifier("JWT")
	for name, tt := range map[string]struct {
		header, claims  map[string]any
		strict, lenient error
	}{
		"as in RFC 9068":        {nil, nil, nil, nil},
		"one of two audiences":  {nil, map[string]any{"aud": []string{"x", "shop"}}, nil, nil},
		"typ JWT":               {map[string]any{"typ": "JWT"}, nil, token.ErrMalformed, nil},
		"no typ":                {map[string]any{"typ": nil}, nil, token.ErrMalformed, nil},
		"a logout token":        {map[string]any{"typ": "logout+jwt"}, nil, token.ErrMalformed, token.ErrMalformed},
		"an ID token":           {map[string]any{"typ": "JWT"}, map[string]any{"at_hash": "x"}, token.ErrMalformed, token.ErrClaims},
		"another audience":      {nil, map[string]any{"aud": "mail"}, token.ErrAudience, token.ErrAudience},
		"no audience":           {nil, map[string]any{"aud": nil}, token.ErrAudience, token.ErrAudience},
		"another issuer":        {nil, map[string]any{"iss": "https://x.example"}, token.ErrIssuer, token.ErrIssuer},
		"no iat":                {nil, map[string]any{"iat": nil}, token.ErrClaims, token.ErrClaims},
		"a clock ahead":         {nil, map[string]any{"iat": time.Now().Unix() + 20}, nil, nil},
		"a clock too far ahead": {nil, map[string]any{"iat": time.Now().Unix() + 300}, token.ErrIssuedInFuture, token.ErrIssuedInFuture},
	} {
		raw := access(p, tt.header, tt.claims)
		for verifier, want := range map[*token.Verifier]error{strict: tt.strict, lenient: tt.lenient} {
			if _, err := verifier.Verify(t.Context(), raw); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v (lenient: %t)", name, err, want, verifier == lenient)
			}
		}
	}
	c, err := strict.Verify(t.Context(), access(p, nil, map[string]any{"scope": "read write", "roles": []string{"admin"}, "fresh": true, "csrf": "x", "type": "refresh"}))
	if err != nil || len(c.Scopes) != 2 || len(c.Roles) != 1 || c.Fresh || c.CSRF != "" || c.Type != token.TypeAccess {
		t.Errorf("got %#v, %v", c, err)
	}
}

// TestNewVerifierErrors checks that a configuration that would accept any token
// of the provider is refused, whether or not the provider is reachable.
func TestNewVerifierErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		config Config
		want   []string
	}{
		"nothing":         {Config{}, []string{"jwks: Config.Issuer: required", "jwks: Config.Audience: required"}},
		"no issuer":       {Config{URL: "https://id.example/keys", Audience: []string{"chat"}}, []string{"jwks: Config.Issuer: required"}},
		"no audience":     {Config{Issuer: issuer}, []string{"jwks: Config.Audience: required"}},
		"empty audience":  {Config{Issuer: issuer, Audience: []string{""}}, []string{"jwks: Config.Audience: "}},
		"http elsewhere":  {Config{Issuer: "http://id.example", Audience: []string{"chat"}}, []string{"jwks: Config.Issuer: ", "must be https"}},
		"everything else": {Config{URL: "://", Timeout: -1}, []string{"Config.URL", "Config.Timeout", "Config.Issuer", "Config.Audience"}},
	} {
		v, err := NewVerifier(t.Context(), tt.config)
		if v != nil || err == nil {
			t.Errorf("%s: got %v, %v", name, v, err)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
}
