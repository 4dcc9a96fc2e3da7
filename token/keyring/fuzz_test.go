package keyring

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"wsauth/token"
)

// FuzzParse checks that a parsed key and its dates are unchanged when they are
// written and parsed again, with the same expiry and with another one. No error
// contains a part of the key in the file.
func FuzzParse(f *testing.F) {
	jwk := jwkOf(token.ES256, time.Unix(1, 0), time.Unix(2, 0))
	seeds := []struct{ name, before, key, after string }{
		{"a.jwk", "", jwk, ""},
		{"a.jwk", `{"exp":1890000000,"nbf":1.5,`, jwk[1:], ""},
		{"a.jwk", "", jwkOf(token.HS256, time.Time{}, time.Time{}), "x"},
		{"a.jwk", `{"alg":"`, jwk, `"}`},
		{"a.pem", "kid: b\nalg: EdDSA\nnbf: 2026-01-31T00:00:00Z\nexp: 2027-01-31T00:00:00+01:00\n", pkcs8(ed()), ""},
		{"a.pem", "alg: RS256\n", pkcs8(p256()), ""},
		{"a.pem", "exp: ", pkcs8(ed()), "more\n"},
		{"b.pem", "", pemOf("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(p256()))), pkcs8(ed())},
		{"c.hs256", "", strong, ""},
		{"c.hs512", "", "a secret as a line of text", "\n"},
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add(s.name, s.before, s.key, s.after)
	}
	f.Fuzz(func(t *testing.T, name, before, key, after string) {
		if !isKey(name) {
			return
		}
		data := []byte(before + key + after)
		e, err := Parse(name, data)
		if err != nil {
			wantNoKeyIn(t, err, key)
			return
		}
		wantSame(t, e, must(Parse("z.jwk", format(e))))
		e.Expires = e.NotBefore.Add(time.Hour)
		if e.NotBefore.IsZero() {
			e.Expires = time.Unix(1890000000, 0)
		}
		if e.Expires.Unix() > maxDate {
			return
		}
		file, data, err := withExpiry(e, data, e.Expires)
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, e, must(Parse(file, data)))
	})
}

func wantSame(t *testing.T, want, got Entry) {
	t.Helper()
	if !bytes.Equal(got.Key.JWK(), want.Key.JWK()) || !got.NotBefore.Equal(want.NotBefore) || !got.Expires.Equal(want.Expires) {
		t.Errorf("wrote %+v, read %+v", want, got)
	}
}

// wantNoKeyIn checks that err contains no 24 consecutive bytes of key. Shorter
// parts may be the names of algorithms, key types or PEM blocks.
func wantNoKeyIn(t *testing.T, err error, key string) {
	t.Helper()
	const long = 24
	if block, _ := pem.Decode([]byte(key)); block != nil {
		key = string(block.Bytes) + strings.Join(strings.Split(key, "\n")[1:], "")
	}
	for i := 0; i+long <= len(key); i++ {
		if part := key[i : i+long]; strings.Contains(err.Error(), part) {
			t.Fatalf("error %q reveals %q", err, part)
		}
	}
}
