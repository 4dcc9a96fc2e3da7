package idptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// key is a key pair. Its JWK and signatures are produced without package
// token, because that is under test.
type key struct {
	kid, alg string
	private  crypto.Signer
	changes  map[string]any // to the members of its JWK
}

// Rotate generates a new key, which signs from now on. The others remain
// published. alg is ES256, RS256, PS256 or EdDSA. If kid is "", the key has
// none.
func (p *Provider) Rotate(kid, alg string) {
	p.t.Helper()
	k := &key{kid: kid, alg: alg}
	var err error
	switch alg {
	case "ES256":
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "RS256", "PS256":
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "EdDSA":
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	default:
		p.t.Fatalf("idptest: no algorithm %q", alg)
	}
	if err != nil {
		p.t.Fatalf("idptest: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = append(p.keys, k)
}

// Remove withdraws the keys with a kid.
func (p *Provider) Remove(kid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = slices.DeleteFunc(p.keys, func(k *key) bool { return k.kid == kid })
}

// Change changes members of the published JWKs with a kid. A nil value removes
// a member.
func (p *Provider) Change(kid string, changes map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.keys {
		if k.kid == kid {
			k.changes = changes
		}
	}
}

// JWK returns the first published JWK with a kid.
func (p *Provider) JWK(kid string) string {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.keys, func(k *key) bool { return k.kid == kid })
	if i < 0 {
		p.t.Fatalf("idptest: no key %q", kid)
	}
	return string(p.keys[i].jwk())
}

// Publish sets JWKs to publish in addition to the keys of the provider. They
// may be invalid.
func (p *Provider) Publish(jwks ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.extra = nil
	for _, jwk := range jwks {
		p.extra = append(p.extra, jsontext.Value(jwk))
	}
}

// keySet returns the JWK Set. p.mu must be held.
func (p *Provider) keySet() []byte {
	keys := slices.Clone(p.extra)
	for _, k := range p.keys {
		keys = append(keys, k.jwk())
	}
	return encode(map[string]any{"keys": keys})
}

func (k *key) jwk() jsontext.Value {
	jwk := map[string]any{"use": "sig", "alg": k.alg}
	if k.kid != "" {
		jwk["kid"] = k.kid
	}
	switch public := k.private.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic(err)
		}
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", "P-256", base64URL(point[1:33]), base64URL(point[33:])
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", base64URL(public.N.Bytes()), base64URL(big.NewInt(int64(public.E)).Bytes())
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", base64URL(public)
	}
	return encode(with(jwk, k.changes))
}

func base64URL(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
