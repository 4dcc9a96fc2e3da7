package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// benchToken has nine claims: sub, iat, nbf, jti, exp, type, fresh, csrf, sid.
func benchToken(t testing.TB, alg Algorithm) (*Verifier, string) {
	key := testKey(alg)
	issuer, err := NewIssuer(IssuerConfig{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := issuer.Access("alice", Options{Fresh: true, CSRF: true, SessionID: newUUID()})
	if err != nil {
		t.Fatal(err)
	}
	return newVerifier(t, VerifierConfig{Cache: -1}, key), tok.Raw
}

func TestVerifyAllocations(t *testing.T) {
	v, raw := benchToken(t, HS256)
	ctx := context.Background()
	// The minimum of many runs: under the race detector, a sync.Pool drops random
	// items.
	got := math.Inf(1)
	for range 100 {
		got = min(got, testing.AllocsPerRun(1, func() {
			if _, err := v.Verify(ctx, raw); err != nil {
				t.Fatal(err)
			}
		}))
	}
	if got > 8 {
		t.Errorf("%v allocations, want at most 8", got)
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range []Algorithm{HS256, ES256, RS256, EdDSA} {
		v, raw := benchToken(b, alg)
		b.Run(string(alg)+"/ours", func(b *testing.B) {
			b.ReportAllocs()
			ctx := context.Background()
			for b.Loop() {
				if _, err := v.Verify(ctx, raw); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(alg)+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			check := bareCheck(b, alg, raw)
			for b.Loop() {
				if !check() {
					b.Fatal("signature")
				}
			}
		})
		b.Run(string(alg)+"/golang-jwt", func(b *testing.B) {
			b.ReportAllocs()
			parser := jwt.NewParser(jwt.WithValidMethods([]string{string(alg)}), jwt.WithStrictDecoding())
			key := golangJWTKey(testKey(alg))
			for b.Loop() {
				if _, err := parser.Parse(raw, func(*jwt.Token) (any, error) { return key, nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// bareCheck returns a function that checks only the signature, with the
// standard library.
func bareCheck(b *testing.B, alg Algorithm, raw string) func() bool {
	dot := strings.LastIndexByte(raw, '.')
	signed := []byte(raw[:dot])
	signature, err := base64.RawURLEncoding.DecodeString(raw[dot+1:])
	if err != nil {
		b.Fatal(err)
	}
	switch m := testKey(alg).material.(type) {
	case *hmacSecret:
		return func() bool {
			mac := hmac.New(sha256.New, m.secret)
			mac.Write(signed)
			return hmac.Equal(mac.Sum(nil), signature)
		}
	case *rsaPrivate:
		return func() bool {
			sum := sha256.Sum256(signed)
			return rsa.VerifyPKCS1v15(m.key, crypto.SHA256, sum[:], signature) == nil
		}
	case *ecdsaPrivate:
		return func() bool {
			sum := sha256.Sum256(signed)
			return ecdsa.Verify(m.key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
		}
	case *ed25519Private:
		return func() bool { return ed25519.Verify(m.key, signed, signature) }
	}
	panic("unreachable")
}

func BenchmarkIssue(b *testing.B) {
	issuer := must(NewIssuer(IssuerConfig{Key: testKey(HS256)}))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := issuer.Access("alice", Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// golangJWTKey returns the key with which golang-jwt verifies.
func golangJWTKey(k *Key) any {
	switch m := k.material.(type) {
	case *hmacSecret:
		return m.secret
	case *rsaPrivate:
		return m.key
	case *ecdsaPrivate:
		return m.key
	case *ed25519Private:
		return m.key
	}
	panic("unreachable")
}
