package token

import (
	"bytes"
	"crypto/hmac"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// minDistinct is the minimum number of different bytes in a secret. A random
// secret of 32 bytes has fewer once in 10^40; a repeated short word has
// fewer.
const minDistinct = 8

// wellKnownSecrets come from documentation and tutorials, so an attacker tries
// them first. Most are too short anyway, but an error that says "well known"
// is clearer than one that asks for a few more bytes.
var wellKnownSecrets = []string{
	"secret", "secretkey", "secret_key", "secret-key", "mysecret", "my-secret", "mysecretkey",
	"my-secret-key", "supersecret", "super-secret", "supersecretkey", "topsecret", "changeme",
	"change-me", "changeit", "password", "passw0rd", "123456", "12345678", "qwerty", "admin",
	"test", "key", "jwt", "jwt_secret", "jwtsecret", "jwt-secret", "default", "shhhhh",
	"keyboard cat", "your-secret", "your-secret-key", "your_secret_key", "thisisasecret",
	"your-256-bit-secret", "your-384-bit-secret", "your-512-bit-secret",
	"a-string-secret-at-least-256-bits-long",
	"a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
	"super-secret-jwt-token-with-at-least-32-characters-long",
	"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
	"404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970",
}

// hmacSecret is a secret for HS256, HS384 or HS512 (RFC 7518 section 3.2). Its
// pool holds keyed hashes, because keying one costs as much as hashing a short
// token.
type hmacSecret struct {
	secret []byte
	pool   sync.Pool
}

// A keyedHash is an HMAC with a buffer for its result.
type keyedHash struct {
	hash.Hash
	sum []byte
}

func newHMAC(s suite, secret []byte, weak bool) (material, error) {
	if s.family != familyHMAC {
		return nil, errors.New("the material is an HMAC secret")
	}
	if len(secret) == 0 {
		return nil, errors.New("the secret is empty")
	}
	if looksPublic(secret) {
		return nil, errors.New("the secret is an encoded key, which may be public")
	}
	if !weak {
		if err := checkSecret(s, secret); err != nil {
			return nil, err
		}
	}
	m := &hmacSecret{secret: bytes.Clone(secret)}
	m.pool.New = func() any {
		return &keyedHash{Hash: hmac.New(s.hash.New, m.secret), sum: make([]byte, 0, s.hash.Size())}
	}
	return m, nil
}

// looksPublic reports whether secret is an encoded key: in PEM, in SSH format,
// a JWK or JWK Set, or a public key or certificate in DER (PKIX or PKCS#1) or
// in base64 without PEM's header lines, as the consoles of providers show it.
// With a public key as the secret, anybody could sign.
func looksPublic(secret []byte) bool {
	if publicDER(secret) {
		return true
	}
	text := bytes.TrimSpace(secret)
	for _, prefix := range []string{"-----BEGIN ", "ssh-", "ecdsa-sha2-"} {
		if bytes.HasPrefix(text, []byte(prefix)) {
			return true
		}
	}
	var j struct {
		Kty  jsontext.Value `json:"kty"`
		Keys jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(secret, &j); err == nil && (j.Kty != nil || j.Keys != nil) {
		return true
	}
	decoded, err := base64.StdEncoding.DecodeString(string(text)) // skips line breaks
	return err == nil && publicDER(decoded)
}

func publicDER(data []byte) bool {
	_, pkix := x509.ParsePKIXPublicKey(data)
	_, pkcs1 := x509.ParsePKCS1PublicKey(data)
	_, certificate := x509.ParseCertificate(data)
	return pkix == nil || pkcs1 == nil || certificate == nil
}

func checkSecret(s suite, secret []byte) error {
	for _, known := range wellKnownSecrets {
		if strings.EqualFold(known, string(secret)) {
			return errors.New("the secret is well known from tutorials")
		}
	}
	if len(secret) < s.hash.Size() {
		return fmt.Errorf("the secret has %d bytes, needs %d (RFC 7518 section 3.2)", len(secret), s.hash.Size())
	}
	var seen [256]bool
	distinct := 0
	for _, b := range secret {
		if !seen[b] {
			seen[b] = true
			distinct++
		}
	}
	if distinct < minDistinct {
		return fmt.Errorf("the secret has only %d different bytes", distinct)
	}
	return nil
}

func (m *hmacSecret) sum(input []byte, use func(sum []byte)) {
	h := m.pool.Get().(*keyedHash)
	defer m.pool.Put(h)
	h.Reset()
	h.Write(input)
	use(h.Sum(h.sum))
}

func (m *hmacSecret) sign(input []byte) (signature []byte, err error) {
	m.sum(input, func(sum []byte) { signature = bytes.Clone(sum) })
	return signature, nil
}

func (m *hmacSecret) verify(input, signature []byte) (ok bool) {
	m.sum(input, func(sum []byte) { ok = hmac.Equal(sum, signature) })
	return ok
}

func (m *hmacSecret) canSign() bool { return true }

func (m *hmacSecret) public() material { return nil }

func (m *hmacSecret) members() jwk { return jwk{K: encode(m.secret)} }
