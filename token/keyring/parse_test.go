package keyring

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"wsauth/token"
)

const strong = "\x01\x9d\x27 raw bytes of a secret that nobody knows \xff\n"

func TestParse(t *testing.T) {
	nbf, exp := time.Unix(1790000000, 0), time.Unix(1890000000, 0)
	lines := "Our key.\nkid: mine\nAlg: PS256 \r\nNBF: 2026-09-21T14:13:20Z\nexp:2029-11-22T01:00:00+01:00\nexpires: never\n\n"
	secret := base64.RawURLEncoding.EncodeToString([]byte(strong))
	for _, tt := range []struct {
		name, content string
		id            string
		alg           token.Algorithm
		signs         bool
		nbf, exp      time.Time
	}{
		{"a.b.pem", pkcs8(p256()), "a.b", token.ES256, true, time.Time{}, time.Time{}},
		{"sec1.pem", pemOf("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(p256()))), "sec1", token.ES256, true, time.Time{}, time.Time{}},
		{"ed.pem", pkcs8(ed()), "ed", token.EdDSA, true, time.Time{}, time.Time{}},
		{"rsa.pem", pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey())), "rsa", token.RS256, true, time.Time{}, time.Time{}},
		{"pub.pem", pemOf("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(ed().Public()))), "pub", token.EdDSA, false, time.Time{}, time.Time{}},
		{"said.pem", lines + pkcs8(rsaKey()), "mine", token.PS256, true, nbf, exp},
		{"a.jwk", `{"kty":"oct","alg":"HS256","k":"` + secret + `","nbf":1790000000,"exp":1890000000}`, "a", token.HS256, true, nbf, exp},
		{"a.jwk", `{"exp":1890000000,"kid":"b","kty":"oct","alg":"HS256","k":"` + secret + `"}`, "b", token.HS256, true, time.Time{}, exp},
		{"a.hs256", strong, "a", token.HS256, true, time.Time{}, time.Time{}},
		{"a.hs512", strong + strong, "a", token.HS512, true, time.Time{}, time.Time{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := Parse(tt.name, []byte(tt.content))
			if err != nil {
				t.Fatal(err)
			}
			if e.File != tt.name || e.Key.ID() != tt.id || e.Key.Algorithm() != tt.alg || e.Key.CanSign() != tt.signs {
				t.Errorf("got %+v", e)
			}
			if !e.NotBefore.Equal(tt.nbf) || !e.Expires.Equal(tt.exp) {
				t.Errorf("from %v until %v, want %v and %v", e.NotBefore, e.Expires, tt.nbf, tt.exp)
			}
		})
	}
}

func TestJ36_S1_ParseRefuses(t *testing.T) {
	small := must(rsa.GenerateKey(rand.Reader, 1024)) //nolint:staticcheck // intentionally too short
	key := pkcs8(p256())
	e1 := rsa.PublicKey{N: rsaKey().N, E: 1}
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	for name, tt := range map[string]struct{ file, content, want string }{
		"RSA-1024":           {"a.pem", pkcs8(small), "2048"},
		"RSA-1024 PKCS#1":    {"a.pem", pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small)), "2048"},
		"e=1":                {"a.pem", pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&e1)), "exponent"},
		"e=1 JWK":            {"a.jwk", fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQ"}`, number(rsaKey().N)), "exponent"},
		"RSA-1024 JWK":       {"a.jwk", fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQAB"}`, number(small.N)), "2048"},
		"secret":             {"a.hs256", "secret", "HS256 key"},
		"31 bytes":           {"a.hs256", strong[:31], "HS256 key"},
		"63 bytes":           {"a.hs512", (strong + strong)[:63], "HS512 key"},
		"repeated":           {"a.hs256", strings.Repeat("secret", 10), "HS256 key"},
		"tutorial JWK":       {"a.jwk", `{"kty":"oct","alg":"HS256","k":"c2VjcmV0"}`, "HS256 key"},
		"PEM as the secret":  {"a.hs256", strings.TrimSpace(key), "HS256 key"},
		"line break":         {"a.hs256", "a long line of text that nobody knows\n", "without one"},
		"no PEM":             {"a.pem", "hello", "no key found"},
		"certificate":        {"a.pem", pemOf("CERTIFICATE", []byte{1}), "CERTIFICATE"},
		"two keys":           {"a.pem", key + key, "more than one"},
		"wrong alg":          {"a.pem", "alg: RS256\n" + key, "RS256 key"},
		"none":               {"a.pem", "alg: none\n" + key, "unknown algorithm"},
		"long alg":           {"a.pem", "alg: something\n" + key, "line alg"},
		"two exp":            {"a.pem", "exp: 2030-01-31T00:00:00Z\nexp: 2031-01-31T00:00:00Z\n" + key, "two lines exp"},
		"empty exp":          {"a.pem", "exp:\n" + key, "exp is empty"},
		"exp is a word":      {"a.pem", "exp: never\n" + key, "line exp is not a date"},
		"exp has a fraction": {"a.pem", "exp: 2030-01-31T00:00:00.5Z\n" + key, "line exp is not a date"},
		"nbf before 1970":    {"a.pem", "nbf: 1930-01-31T00:00:00Z\n" + key, "line nbf is not a date"},
		"exp before nbf":     {"a.pem", "nbf: 2030-01-31T00:00:00Z\nexp: 2030-01-31T00:00:00Z\n" + key, "not later"},
		"empty kid":          {"a.pem", "kid: \n" + key, "kid is empty"},
		"bad kid":            {"a.pem", "kid: a\x01b\n" + key, "key ID"},
		"no JSON":            {"a.jwk", "hello", "strict JSON"},
		"a set":              {"a.jwk", `{"keys":[]}`, "alg is missing"},
		"null exp":           {"a.jwk", `{"exp":null,` + jwkOf(token.ES256, time.Time{}, time.Time{})[1:], "whole seconds"},
		"text exp":           {"a.jwk", `{"exp":"1890000000",` + jwkOf(token.ES256, time.Time{}, time.Time{})[1:], "whole seconds"},
		"fraction exp":       {"a.jwk", `{"exp":1890000000.5,` + jwkOf(token.ES256, time.Time{}, time.Time{})[1:], "whole seconds"},
		"exp in year 10000":  {"a.jwk", `{"exp":253402300800,` + jwkOf(token.ES256, time.Time{}, time.Time{})[1:], "whole seconds"},
		"negative nbf":       {"a.jwk", `{"nbf":-1,` + jwkOf(token.ES256, time.Time{}, time.Time{})[1:], "whole seconds"},
		"exp twice":          {"a.jwk", `{"exp":1,"exp":2,` + jwkOf(token.ES256, time.Time{}, time.Time{})[1:], "strict JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			if e, err := Parse(tt.file, []byte(tt.content)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v; want an error with %q", e, err, tt.want)
			}
		})
	}
}

// TestWithExpiry checks that a new expiry keeps the key and all other content
// of the file.
func TestWithExpiry(t *testing.T) {
	exp := time.Unix(1890000000, 0)
	for name, tt := range map[string]struct{ file, content, want string }{
		"PEM":        {"a.pem", pkcs8(ed()), "exp: 2029-11-22T00:00:00Z\n" + pkcs8(ed())},
		"PEM dated":  {"a.pem", "Mine\r\nExp : 2035-01-31T00:00:00Z\nalg: EdDSA\n" + pkcs8(ed()), "Mine\r\nalg: EdDSA\nexp: 2029-11-22T00:00:00Z\n" + pkcs8(ed())},
		"JWK":        {"a.jwk", `{"x5t":"?","exp":1990000000,` + jwkOf(token.HS256, time.Time{}, time.Time{})[1:], `"x5t":"?"`},
		"raw secret": {"a.hs256", strong, `"kid":"a"`},
	} {
		t.Run(name, func(t *testing.T) {
			before, err := Parse(tt.file, []byte(tt.content))
			if err != nil {
				t.Fatal(err)
			}
			file, data, err := withExpiry(before, []byte(tt.content), exp)
			if err != nil {
				t.Fatal(err)
			}
			after, err := Parse(file, data)
			if err != nil {
				t.Fatal(err)
			}
			if !after.Expires.Equal(exp) || !bytes.Equal(after.Key.JWK(), before.Key.JWK()) || !after.NotBefore.Equal(before.NotBefore) {
				t.Errorf("got %+v of %+v", after, before)
			}
			if !strings.Contains(string(data), tt.want) {
				t.Errorf("got %q, want %q in it", data, tt.want)
			}
		})
	}
}
