package wsauth_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsauth"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// TestRevokeExpires checks that revocations are kept for the longest lifetime
// of a token that the verifier accepts, even if the given claims expire
// earlier.
func TestRevokeExpires(t *testing.T) {
	const day = 24 * time.Hour
	ctx := context.Background()
	claims := &token.Claims{ID: "j1", SessionID: "s1", Subject: "ada", ExpiresAt: time.Now().Add(time.Minute)}
	revoke := map[store.Target]func(*wsauth.Guard) (int, error){
		store.TargetToken:   func(g *wsauth.Guard) (int, error) { return g.RevokeToken(ctx, claims) },
		store.TargetSession: func(g *wsauth.Guard) (int, error) { return g.RevokeSession(ctx, "s1") },
		store.TargetSubject: func(g *wsauth.Guard) (int, error) { return g.RevokeSubject(ctx, "ada") },
		store.TargetAll:     func(g *wsauth.Guard) (int, error) { return g.RevokeAll(ctx) },
	}
	for name, c := range map[string]struct {
		config wsauth.Config
		want   time.Duration
	}{
		"any verifier":          {wsauth.Config{Verifier: fixedVerifier(time.Hour)}, 366 * day},
		"any verifier, set":     {wsauth.Config{Verifier: fixedVerifier(time.Hour), MaxTokenLife: day}, day},
		"a bound":               {wsauth.Config{Verifier: boundVerifier(t, 2*day)}, 2 * day},
		"a bound, longer":       {wsauth.Config{Verifier: boundVerifier(t, 2*day), MaxTokenLife: 3 * day}, 3 * day},
		"the bound of several":  {wsauth.Config{Verifier: must(token.NewVerifiers(boundVerifier(t, 500*day)))}, 500 * day},
		"no bound":              {wsauth.Config{Verifier: unbounded{fixedVerifier(time.Hour)}}, 366 * day},
		"the default of tokens": {wsauth.Config{Verifier: boundVerifier(t, 0)}, 366 * day},
	} {
		for target, revoke := range revoke {
			t.Run(name+", "+target.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					log := memory.New(store.Limits{})
					c.config.Revocations = log
					g := must(wsauth.New(c.config))
					if _, err := revoke(g); err != nil {
						t.Fatal(err)
					}
					page, err := log.Read(ctx, store.Cursor{})
					if err != nil || len(page.Revocations) != 1 {
						t.Fatalf("%v, %v", page, err)
					}
					r := page.Revocations[0]
					if life := time.Until(r.Expires); life != c.want+time.Minute || r.Target != target {
						t.Errorf("%v is kept for %v, want %v and a minute", r, life, c.want)
					}
					if err := g.Shutdown(ctx); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// An unbounded verifier reports that it has no bound.
type unbounded struct{ wsauth.Verifier }

func (unbounded) MaxLifetime() time.Duration { return -1 }

// boundVerifier returns a verifier that accepts tokens with at most this
// lifetime, or with the default maximum if it is 0.
func boundVerifier(t *testing.T, life time.Duration) *token.Verifier {
	t.Helper()
	keys := must(token.NewKeySet(must(token.GenerateKey(token.HS256))))
	return must(token.NewVerifier(token.VerifierConfig{Keys: keys, MaxLifetime: life}))
}

// TestRevokeNothing checks that revoking nothing, or without a log, is an
// error.
func TestRevokeNothing(t *testing.T) {
	ctx := t.Context()
	g := must(wsauth.New(wsauth.Config{Verifier: fixedVerifier(time.Hour), Revocations: memory.New(store.Limits{})}))
	defer g.Shutdown(context.Background()) //nolint:errcheck // there are no sockets
	for name, revoke := range map[string]func() (int, error){
		"no claims":  func() (int, error) { return g.RevokeToken(ctx, nil) },
		"no jti":     func() (int, error) { return g.RevokeToken(ctx, &token.Claims{SessionID: "s1"}) },
		"no sid":     func() (int, error) { return g.RevokeSession(ctx, "") },
		"no subject": func() (int, error) { return g.RevokeSubject(ctx, "") },
	} {
		if n, err := revoke(); n != 0 || !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

// TestMaxTokenLifeBelowTheVerifier checks that a configuration that would drop
// revocations before their tokens expire is refused.
func TestMaxTokenLifeBelowTheVerifier(t *testing.T) {
	_, err := wsauth.New(wsauth.Config{Verifier: boundVerifier(t, 2*time.Hour), MaxTokenLife: time.Hour})
	if err == nil || !strings.Contains(err.Error(), "Config.MaxTokenLife: 1h0m0s is less than the 2h0m0s") {
		t.Errorf("%v", err)
	}
}

// TestRevokeByOneOfSeveralGuards checks that guards of one log keep
// revocations for the longest life of a token that any of them accepts.
func TestRevokeByOneOfSeveralGuards(t *testing.T) {
	const day = 24 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		log := memory.New(store.Limits{})
		short := must(wsauth.New(wsauth.Config{Verifier: boundVerifier(t, time.Hour), Revocations: log}))
		long := must(short.With(func(c *wsauth.Config) { c.Verifier = boundVerifier(t, 30*day) }))
		same := must(long.With(func(*wsauth.Config) {}))
		for _, g := range []*wsauth.Guard{short, long, same} {
			if _, err := g.RevokeSession(t.Context(), "s1"); err != nil {
				t.Fatal(err)
			}
			page := must(log.Read(t.Context(), store.Cursor{}))
			if life := time.Until(page.Revocations[0].Expires); life != 30*day+time.Minute {
				t.Errorf("kept for %v", life)
			}
		}
		if err := short.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
