package jwks

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"wsauth/token"
)

// signing returns the keys of these tests by kid. The first one is published
// from the start, and the others later.
var signing = sync.OnceValue(func() map[string]any {
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return map[string]any{
		"first": must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), "second": must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), "edwards": edwards,
	}
})

func published(kid string) *token.Key {
	alg := map[string]token.Algorithm{"edwards": token.EdDSA}[kid]
	if alg == "" {
		alg = token.ES256
	}
	return must(token.NewKey(alg, signing()[kid], token.KeyOptions{ID: kid}))
}

// signedBy returns a token of the provider with changed claims.
func signedBy(kid string, iat time.Time, changes jwt.MapClaims) string {
	claims := jwt.MapClaims{"iss": issuer, "aud": "chat", "sub": "ada", "jti": "j", "iat": iat.Unix(), "exp": iat.Unix() + 3600}
	for name, v := range changes {
		if claims[name] = v; v == nil {
			delete(claims, name)
		}
	}
	var method jwt.SigningMethod = jwt.SigningMethodES256
	key := signing()[kid]
	switch key.(type) {
	case ed25519.PrivateKey:
		method = jwt.SigningMethodEdDSA
	case nil:
		method, key = jwt.SigningMethodHS256, []byte("a secret of somebody who has no key")
	}
	t := jwt.NewWithClaims(method, claims)
	t.Header["kid"] = kid
	return must(t.SignedString(key))
}

const leeway = 30 * time.Second

func newPending(t *testing.T) (p *provider, k *Keys, v *token.Verifier) {
	t.Helper()
	p = &provider{keys: []*token.Key{published("first")}}
	k = newKeys(t, Config{Transport: p})
	v = must(token.NewVerifier(token.VerifierConfig{Keys: k, Issuer: issuer, Audience: []string{"chat"}, Leeway: leeway, Profile: &token.Profile{}}))
	return p, k, v
}

// outcome returns "ok", "refused" (401) or "later" (503).
func outcome(err error) string {
	if _, refused := errors.AsType[*token.Error](err); refused {
		return "refused"
	}
	if err != nil {
		return "later"
	}
	return "ok"
}

func wantOutcome(t *testing.T, v *token.Verifier, name, raw, want string) {
	t.Helper()
	if _, err := v.Verify(t.Context(), raw); outcome(err) != want {
		t.Errorf("%s: %s, want %s; %v", name, outcome(err), want, err)
	}
}

// TestKeyPublishedAfterTheFetch checks that if the key of a token was published
// right after a fetch, the error tells the client to try later, not that the
// token is invalid, until the keys may be fetched again.
func TestKeyPublishedAfterTheFetch(t *testing.T) {
	for _, kid := range []string{"second", "edwards"} {
		synctest.Test(t, func(t *testing.T) {
			p, _, v := newPending(t)
			wantOutcome(t, v, "the first key", signedBy("first", time.Now(), nil), "ok")
			time.Sleep(200 * time.Millisecond)
			p.set(func() { p.keys = append(p.keys, published(kid)) })
			for range 9 {
				wantOutcome(t, v, kid, signedBy(kid, time.Now(), nil), "later")
				time.Sleep(time.Second)
			}
			if n := p.fetched.Load(); n != 1 {
				t.Errorf("%d fetches", n)
			}
			time.Sleep(time.Second)
			wantOutcome(t, v, kid, signedBy(kid, time.Now(), nil), "ok")
			if n := p.fetched.Load(); n != 2 {
				t.Errorf("%d fetches", n)
			}
		})
	}
}

// TestNamelessKeyPublishedAfterTheFetch checks the same for a token without a
// kid, whether or not the keys have IDs. Such a token causes fetches as rarely
// as any other token, and is refused after a fetch without its key.
func TestNamelessKeyPublishedAfterTheFetch(t *testing.T) {
	for _, named := range []bool{false, true} {
		t.Run(fmt.Sprintf("named=%t", named), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key := func(kid string) *token.Key {
					if named {
						return published(kid)
					}
					return must(token.NewKey(token.ES256, signing()[kid], token.KeyOptions{ID: ""}))
				}
				p, _, v := newPending(t)
				p.set(func() { p.keys = []*token.Key{key("first")} })
				wantOutcome(t, v, "the first key", nameless("first", time.Now()), "ok")
				time.Sleep(200 * time.Millisecond)
				p.set(func() { p.keys = []*token.Key{key("second")} })
				for range 9 {
					wantOutcome(t, v, "too soon", nameless("second", time.Now()), "later")
					time.Sleep(time.Second)
				}
				if n := p.fetched.Load(); n != 1 {
					t.Errorf("%d fetches", n)
				}
				time.Sleep(time.Second)
				p.set(func() { p.delay = time.Second })
				for range 256 { // a flood causes one fetch
					wantOutcome(t, v, "the fetch begins", nameless("second", time.Now()), "later")
				}
				time.Sleep(time.Second)
				p.set(func() { p.delay = 0 })
				synctest.Wait()
				wantOutcome(t, v, "the second key", nameless("second", time.Now()), "ok")
				if n := p.fetched.Load(); n != 2 {
					t.Errorf("%d fetches", n)
				}

				// A token that no key has signed causes one fetch, and no more.
				time.Sleep(11 * time.Second)
				forged := nameless("edwards", time.Now())
				wantOutcome(t, v, "forged", forged, "later")
				synctest.Wait()
				wantOutcome(t, v, "forged, after the fetch", forged, "refused")
				wantOutcome(t, v, "forged, long ago", nameless("edwards", time.Now().Add(-time.Minute)), "refused")
				time.Sleep(11 * time.Second)
				wantOutcome(t, v, "forged, again", forged, "refused")
				synctest.Wait()
				if n := p.fetched.Load(); n != 3 {
					t.Errorf("%d fetches", n)
				}
			})
		})
	}
}

// nameless returns a token of the provider without a kid.
func nameless(by string, iat time.Time) string {
	claims := jwt.MapClaims{"iss": issuer, "aud": "chat", "sub": "ada", "jti": "j", "iat": iat.Unix(), "exp": iat.Unix() + 3600}
	var method jwt.SigningMethod = jwt.SigningMethodES256
	if by == "edwards" {
		method = jwt.SigningMethodEdDSA
	}
	return must(jwt.NewWithClaims(method, claims).SignedString(signing()[by]))
}

// TestWhichUnknownKeysArePending checks that the error tells the client to try
// later only if the token may be valid: its iat is not before the last fetch,
// within the leeway, and nothing else is wrong with it.
func TestWhichUnknownKeysArePending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, v := newPending(t)
		wantOutcome(t, v, "the first key", signedBy("first", time.Now(), nil), "ok")
		fetched := time.Now()
		time.Sleep(5 * time.Second)
		now := time.Now()
		for name, tt := range map[string]struct{ raw, want string }{
			"issued now":              {signedBy("second", now, nil), "later"},
			"issued at the fetch":     {signedBy("second", fetched, nil), "later"},
			"within the leeway":       {signedBy("second", fetched.Add(-leeway), nil), "later"},
			"before":                  {signedBy("second", fetched.Add(-leeway-time.Second), nil), "refused"},
			"long before":             {signedBy("second", fetched.Add(-time.Hour/2), nil), "refused"},
			"without iat":             {signedBy("second", now, jwt.MapClaims{"iat": nil}), "refused"},
			"iat is no date":          {signedBy("second", now, jwt.MapClaims{"iat": "now"}), "refused"},
			"issued in the future":    {signedBy("second", now.Add(leeway+time.Second), nil), "refused"},
			"in the far future":       {signedBy("second", now.Add(1000*time.Hour), nil), "refused"},
			"expired":                 {signedBy("second", now, jwt.MapClaims{"exp": now.Unix() - 31, "iat": now.Unix() - 31}), "refused"},
			"of another issuer":       {signedBy("second", now, jwt.MapClaims{"iss": issuer + "x"}), "refused"},
			"for another audience":    {signedBy("second", now, jwt.MapClaims{"aud": "other"}), "refused"},
			"without a subject":       {signedBy("second", now, jwt.MapClaims{"sub": nil}), "refused"},
			"that is no access token": {signedBy("second", now, jwt.MapClaims{"events": jwt.MapClaims{}}), "refused"},
			"signed with a secret":    {signedBy("nobody", now, nil), "refused"},
			"a key that is there, and another signature": {func() string {
				raw := signedBy("first", now, nil)
				return raw[:len(raw)-8] + "AAAAAAAA"
			}(), "refused"},
		} {
			wantOutcome(t, v, name, tt.raw, tt.want)
		}
	})
}

// TestStatementWithAPendingKey checks that the error for a statement signed
// with such a key tells the sender to try later.
func TestStatementWithAPendingKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, v := newPending(t)
		wantOutcome(t, v, "the first key", signedBy("first", time.Now(), nil), "ok")
		time.Sleep(time.Second)
		rules := token.StatementRules{MediaTypes: []string{""}, Audience: []string{"chat"}}
		for name, tt := range map[string]struct{ raw, want string }{
			"new": {signedBy("second", time.Now(), nil), "later"}, "old": {signedBy("second", time.Now().Add(-time.Minute), nil), "refused"},
			"of another": {signedBy("second", time.Now(), jwt.MapClaims{"aud": "other"}), "refused"},
		} {
			if _, err := v.VerifyStatement(t.Context(), tt.raw, rules); outcome(err) != tt.want {
				t.Errorf("%s: got %v, want %v", name, err, tt.want)
			}
		}
	})
}

// TestR16_FloodWithForgedDates checks that forged iats cause no more fetches
// than other unknown keys, and delay no known key.
func TestR16_FloodWithForgedDates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, k, v := newPending(t)
		wantOutcome(t, v, "the first key", signedBy("first", time.Now(), nil), "ok")
		p.set(func() { p.delay = time.Second })
		time.Sleep(time.Minute)
		p.fetched.Store(0)
		claims := jwt.MapClaims{"iss": issuer, "aud": "chat", "sub": "eve", "jti": "j", "iat": time.Now().Unix(), "exp": time.Now().Unix() + 3600}
		var all sync.WaitGroup
		for i := range 500 {
			forged := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
			forged.Header["kid"] = fmt.Sprint("unknown-", i)
			raw := must(forged.SignedString(signing()["second"]))
			all.Go(func() {
				if _, err := v.Verify(t.Context(), raw); outcome(err) != "refused" && outcome(err) != "later" {
					t.Errorf("a forged token: %v", err)
				}
			})
		}
		all.Wait()
		wantOutcome(t, v, "the first key", signedBy("first", time.Now(), nil), "ok")
		if n := p.fetched.Load(); n != 1 {
			t.Errorf("%d fetches", n)
		}
		if len(k.unknown) > maxUnknown {
			t.Errorf("%d kids are kept", len(k.unknown))
		}
	})
}

// TestRequestsWaitTwoSeconds checks that no request waits longer than 2 s for a
// fetch, whoever started it.
func TestRequestsWaitTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, k, v := newPending(t)
		wantOutcome(t, v, "the first key", signedBy("first", time.Now(), nil), "ok")
		time.Sleep(time.Minute)
		p.set(func() { p.keys, p.delay = append(p.keys, published("second")), 4500*time.Millisecond })
		started := time.Now()
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				wantOutcome(t, v, "a new key", signedBy("second", time.Now(), nil), "later")
				wantOutcome(t, v, "an old token", signedBy("second", time.Now().Add(-2*time.Minute), nil), "refused")
			})
			all.Go(func() { wantOutcome(t, v, "the first key", signedBy("first", time.Now(), nil), "ok") })
		}
		all.Wait()
		if waited := time.Since(started); waited != 2*maxWait {
			t.Errorf("two consecutive requests have waited %v", waited)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
		defer stop()
		if _, err := k.KeySet(ctx, "other"); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(time.Second)
		wantOutcome(t, v, "the new key", signedBy("second", time.Now(), nil), "ok")
		if n := p.fetched.Load(); n != 2 {
			t.Errorf("%d fetches", n)
		}
	})
}
