package idp

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	"wsauth/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A signer signs the tokens of a provider with its own key.
type signer struct{ key *rsa.PrivateKey }

func newSigner() signer { return signer{must(rsa.GenerateKey(rand.Reader, 2048))} }

func (s signer) keys() *token.KeySet {
	return must(token.NewKeySet(must(token.NewKey(token.RS256, &s.key.PublicKey, token.KeyOptions{ID: "k"}))))
}

type claims = map[string]any

// with returns base with changed claims. A nil value removes a claim.
func with(base claims, changes claims) claims {
	c := maps.Clone(base)
	for name, v := range changes {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	return c
}

// now returns the current time plus d, in seconds since 1970.
func now(d time.Duration) int64 { return time.Now().Add(d).Unix() }

// sign returns a token of any form, even one that a library would refuse to
// sign.
func (s signer) sign(header, payload claims) string {
	return s.signText(string(must(json.Marshal(with(claims{"alg": "RS256", "kid": "k"}, header)))), string(must(json.Marshal(payload))))
}

func (s signer) signText(header, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(header)) + "." + encode([]byte(payload))
	digest := sha256.Sum256([]byte(signed))
	return signed + "." + encode(must(rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, digest[:])))
}
