package token

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A swappableKeys is a KeySource whose keys can be replaced. It counts its
// calls.
type swappableKeys struct {
	set   atomic.Pointer[KeySet]
	fails atomic.Bool
	asked atomic.Int64
}

var errSourceDown = errors.New("the source is down")

func (s *swappableKeys) KeySet(context.Context, string) (*KeySet, error) {
	s.asked.Add(1)
	if s.fails.Load() {
		return nil, errSourceDown
	}
	return s.set.Load(), nil
}

func newSwap(keys ...*Key) *swappableKeys {
	s := &swappableKeys{}
	s.set.Store(must(NewKeySet(keys...)))
	return s
}

func kidHeader(alg Algorithm, kid string) string {
	return `{"alg":"` + string(alg) + `","typ":"JWT","kid":"` + kid + `"}`
}

// TestJ27_IssuersNeverMeet checks that the exact iss of a token decides which
// rules and keys apply, before any key is used. The two issuers have the same
// kid and different keys.
func TestJ27_IssuersNeverMeet(t *testing.T) {
	a, b := named(testKey(ES256), "1"), named(must(GenerateKey(ES256)), "1")
	keysA, keysB := newSwap(a), newSwap(b)
	all := must(NewVerifiers(
		must(NewVerifier(VerifierConfig{Keys: keysA, Issuer: "https://a.example"})),
		must(NewVerifier(VerifierConfig{Keys: keysB, Issuer: "https://b.example", Namespace: "b"})),
	))
	issue := func(key *Key, iss string) string {
		return mint(t, key, kidHeader(ES256, "1"), `{"sub":"alice","sid":"s","jti":"j","exp":`+soon()+iss+`}`)
	}
	if _, err := all.Verify(t.Context(), "a.b"); !errors.Is(err, ErrSegments) {
		t.Errorf("no token: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if claims, err := all.Verify(ended, issue(a, `,"iss":"https://a.example"`)); !errors.Is(err, context.Canceled) {
		t.Errorf("after the request has ended: %v, %v", claims, err)
	}
	claims, err := all.Verify(t.Context(), issue(a, `,"iss":"https://a.example"`))
	if err != nil || claims.Subject != "alice" {
		t.Fatalf("a: %v, %v", claims, err)
	}
	claims, err = all.Verify(t.Context(), issue(b, `,"iss":"https://b.example"`))
	if err != nil || claims.Subject != "b|alice" || claims.SessionID != "b|s" || claims.ID != "b|j" {
		t.Fatalf("b: %v, %v", claims, err)
	}
	for name, raw := range map[string]string{
		"key of a, iss of b": issue(a, `,"iss":"https://b.example"`),
		"key of b, iss of a": issue(b, `,"iss":"https://a.example"`),
	} {
		if claims, err := all.Verify(t.Context(), raw); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: got %v, %v, want %v", name, claims, err, ErrSignature)
		}
	}
	before := keysA.asked.Load() + keysB.asked.Load()
	for _, iss := range []string{
		``, `,"iss":""`, `,"iss":["https://a.example"]`, `,"iss":null`, `,"iss":"https://a.example/"`, `,"iss":"https://a.exampl"`, `,"iss":"https://a.example2"`,
		`,"iss":"HTTPS://a.example"`, `,"iss":" https://a.example"`, `,"iss":"https://a.example\u0000"`, `,"iss":"https://c.example"`,
	} {
		if claims, err := all.Verify(t.Context(), issue(a, iss)); !errors.Is(err, ErrIssuer) && !errors.Is(err, ErrClaims) {
			t.Errorf("%s: got %v, %v", iss, claims, err)
		}
	}
	if now := keysA.asked.Load() + keysB.asked.Load(); now != before {
		t.Errorf("tokens of unknown issuers caused %d key lookups", now-before)
	}
	// A name that looks like one in the other namespace.
	forged := mint(t, a, kidHeader(ES256, "1"), `{"sub":"b|alice","exp":`+soon()+`,"iss":"https://a.example"}`)
	if claims, err := all.Verify(t.Context(), forged); !errors.Is(err, ErrClaims) {
		t.Errorf("a user of a with a name of b: %v, %v", claims, err)
	}
}

func TestNewVerifiersErrors(t *testing.T) {
	v := func(c VerifierConfig) *Verifier {
		c.Keys = newSwap(testKey(ES256))
		return must(NewVerifier(c))
	}
	for want, all := range map[string][]*Verifier{
		"none":                  {},
		"is nil":                {nil},
		"two with the Issuer":   {v(VerifierConfig{Issuer: "i"}), v(VerifierConfig{Issuer: "i", Namespace: "n"})},
		`the Namespace "": `:    {v(VerifierConfig{Issuer: "i"}), v(VerifierConfig{Issuer: "j"})},
		`the Namespace "same":`: {v(VerifierConfig{Issuer: "i", Namespace: "same"}), v(VerifierConfig{Issuer: "j", Namespace: "same"})},
	} {
		if _, err := NewVerifiers(all...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", want, err, want)
		}
	}
}

// TestCacheFollowsTimeAndKeys checks that a remembered token expires in time
// and is refused as soon as its key is removed, and that no other text is
// accepted in its place.
func TestCacheFollowsTimeAndKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, other := named(testKey(ES256), "1"), named(must(GenerateKey(ES256)), "2")
		keys := newSwap(key, other)
		v := must(NewVerifier(VerifierConfig{Keys: keys}))
		raw := mint(t, key, kidHeader(ES256, "1"), `{"sub":"alice","exp":`+soon()+`,"roles":["member"]}`)
		for range 3 {
			claims, err := v.Verify(t.Context(), raw)
			if err != nil || claims.Subject != "alice" {
				t.Fatal(claims, err)
			}
			claims.Subject = "mallory" // the caller's copy
		}
		if _, err, found := v.cache.verify(t.Context(), raw); !found || err != nil {
			t.Errorf("not remembered: %v", err)
		}
		last := raw[len(raw)-10:]
		for i := range last {
			changed := []byte(raw)
			if at := len(raw) - 10 + i; changed[at] == 'A' {
				changed[at] = 'B'
			} else {
				changed[at] = 'A'
			}
			if claims, err := v.Verify(t.Context(), string(changed)); !errors.Is(err, ErrSignature) && (i < len(last)-1 || !errors.Is(err, ErrMalformed)) { // unused bits
				t.Errorf("one character changed: %v, %v", claims, err)
			}
		}
		keys.set.Store(must(NewKeySet(other)))
		if claims, err := v.Verify(t.Context(), raw); !errors.Is(err, ErrSignature) {
			t.Errorf("after its key was removed: %v, %v", claims, err)
		}
		keys.set.Store(must(NewKeySet(key)))
		if _, err := v.Verify(t.Context(), raw); err != nil {
			t.Errorf("its key is back: %v", err)
		}
		keys.fails.Store(true)
		if _, err := v.Verify(t.Context(), raw); !errors.Is(err, errSourceDown) {
			t.Errorf("a source that is down: %v", err)
		} else if _, refused := errors.AsType[*Error](err); refused {
			t.Errorf("a source that is down causes a token error: %v", err)
		}
		keys.fails.Store(false)
		time.Sleep(599 * time.Second)
		if _, err := v.Verify(t.Context(), raw); err != nil {
			t.Errorf("a second before it expires: %v", err)
		}
		time.Sleep(time.Second)
		if claims, err := v.Verify(t.Context(), raw); !errors.Is(err, ErrExpired) {
			t.Errorf("when it expires: %v, %v", claims, err)
		}
		if _, found := v.cache.get(raw); found {
			t.Error("remembered after it expired")
		}
	})
}

// TestCacheSharesNothing checks that callers who modify the claims that they
// get do not change those of others.
func TestCacheSharesNothing(t *testing.T) {
	v := must(NewVerifier(VerifierConfig{Keys: newSwap(testKey(ES256)), Audience: []string{"chat"}, Profile: &Profile{Roles: "groups"}}))
	raw := mint(t, testKey(ES256), headerOf(ES256), valid(`,"aud":["chat"],"scope":"read","groups":["member"]`))
	for range 3 {
		c, err := verify(v, raw)
		if err != nil || c.Audience[0] != "chat" || c.Scopes[0] != "read" || c.Roles[0] != "member" {
			t.Fatalf("got %+v, %v", c, err)
		}
		c.Audience[0], c.Scopes[0], c.Roles[0] = "bank", "write", "admin"
	}
}

// TestCacheKeepsWhatIsUsed checks that a token in use is kept longer than an
// unused one.
func TestCacheKeepsWhatIsUsed(t *testing.T) {
	c := newCache(2)
	c.put("used", verified{})
	for _, name := range strings.Split("abcdefgh", "") {
		c.put(name, verified{})
		if _, found := c.get("used"); !found {
			t.Fatalf("forgotten after %s", name)
		}
	}
	if _, found := c.get("a"); found {
		t.Error("what was not used is still there")
	}
}

// An agingSwap is a swappableKeys that implements AgingKeySource.
type agingSwap struct {
	*swappableKeys
	kids []string
	may  bool
}

func (s *agingSwap) KeySetSoon(ctx context.Context, kid string) (*KeySet, error) {
	s.kids = append(s.kids, kid)
	return s.KeySet(ctx, kid)
}

func (s *agingSwap) MayMiss(kid string, _ time.Time, _ time.Duration) bool {
	return s.may && kid == "2"
}

// TestKeyThatMayBePending checks that a token with an unknown key is refused,
// unless the key may have been published since the last fetch and nothing else
// is wrong.
func TestKeyThatMayBePending(t *testing.T) {
	other := named(must(GenerateKey(ES256)), "2")
	now := func(more string) string {
		return valid(`,"iss":"https://id","iat":` + strconv.FormatInt(time.Now().Unix(), 10) + more)
	}
	statement := func(more string) string {
		return `{"aud":"me","jti":"1","iss":"https://id","iat":` + strconv.FormatInt(time.Now().Unix(), 10) + more + `}`
	}
	rules := StatementRules{MediaTypes: []string{"logout+jwt", ""}, Audience: []string{"me"}}
	for _, test := range []struct {
		name               string
		may                bool
		header             string
		claims, statements string
		pending            bool
	}{
		{"pending", true, kidHeader(ES256, "2"), now(""), statement(""), true},
		{"not pending", false, kidHeader(ES256, "2"), now(""), statement(""), false},
		{"another kid", true, kidHeader(ES256, "3"), now(""), statement(""), false},
		{"another typ", true, `{"alg":"ES256","typ":"x","kid":"2"}`, now(""), statement(""), false},
		{"another issuer", true, kidHeader(ES256, "2"), valid(`,"iss":"https://x","iat":1`), `{"aud":"me","jti":"1","iss":"https://x","iat":` + soon() + `}`, false},
		{"no iat", true, kidHeader(ES256, "2"), valid(`,"iss":"https://id"`), `{"aud":"me","jti":"1","iss":"https://id"}`, false},
		{"no claims", true, kidHeader(ES256, "2"), `[]`, `[]`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			keys := &agingSwap{swappableKeys: newSwap(named(testKey(ES256), "1")), may: test.may}
			v := must(NewVerifier(VerifierConfig{Keys: keys, Issuer: "https://id"}))
			_, err := verify(v, mint(t, other, test.header, test.claims))
			if _, refused := errors.AsType[*Error](err); err == nil || refused == test.pending {
				t.Errorf("token: %v", err)
			}
			_, err = v.VerifyStatement(t.Context(), mint(t, other, test.header, test.statements), rules)
			if _, refused := errors.AsType[*Error](err); err == nil || refused == test.pending {
				t.Errorf("statement: %v", err)
			}
			for _, kid := range keys.kids {
				if !strings.Contains(test.header, `"kid":"`+kid+`"`) {
					t.Errorf("the source was asked for the kid %q", kid)
				}
			}
			if len(keys.kids) == 0 {
				t.Error("the source was not asked")
			}
		})
	}
}

// TestCacheIsBounded checks that the number of remembered tokens is bounded,
// and that those signed with a shared secret are not remembered.
func TestCacheIsBounded(t *testing.T) {
	v := must(NewVerifier(VerifierConfig{Keys: newSwap(testKey(EdDSA)), Cache: 4}))
	for i := range 50 {
		if _, err := verify(v, mint(t, testKey(EdDSA), headerOf(EdDSA), valid(`,"jti":"`+strings.Repeat("x", i+1)+`"`))); err != nil {
			t.Fatal(err)
		}
		if n := len(v.cache.young) + len(v.cache.old); n > 8 {
			t.Fatalf("%d are remembered", n)
		}
	}
	v = must(NewVerifier(VerifierConfig{Keys: newSwap(testKey(HS256))}))
	if _, err := verify(v, mint(t, testKey(HS256), headerOf(HS256), valid(""))); err != nil || len(v.cache.young) != 0 {
		t.Errorf("%v, %d remembered", err, len(v.cache.young))
	}
}

// TestCacheConcurrently checks that concurrent callers each get their own
// claims.
func TestCacheConcurrently(t *testing.T) {
	v := must(NewVerifier(VerifierConfig{Keys: newSwap(testKey(ES256)), Cache: 2}))
	var all sync.WaitGroup
	for _, name := range []string{"ada", "bob", "cleo", "dan"} {
		raw := mint(t, testKey(ES256), headerOf(ES256), `{"sub":"`+name+`","exp":`+soon()+`}`)
		all.Go(func() {
			for range 200 {
				if claims, err := verify(v, raw); err != nil || claims.Subject != name {
					t.Errorf("%s got %v, %v", name, claims, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkVerifyCached measures the verification of a token of realistic size,
// with and without the cache.
func BenchmarkVerifyCached(b *testing.B) {
	for _, alg := range []Algorithm{ES256, RS256, EdDSA} {
		raw := mint(b, testKey(alg), headerOf(alg), valid(`,"iss":"https://login.example","jti":"`+strings.Repeat("j", 36)+`","more":"`+strings.Repeat("m", 300)+`"`))
		for name, size := range map[string]int{"cached": 0, "uncached": -1} {
			v := must(NewVerifier(VerifierConfig{Keys: newSwap(testKey(alg)), Cache: size}))
			b.Run(string(alg)+"/"+name, func(b *testing.B) {
				for b.Loop() {
					if _, err := verify(v, raw); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
