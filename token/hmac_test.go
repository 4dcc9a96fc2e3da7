package token

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
)

// TestEmptySecret checks that an empty secret is refused, even if weak ones are
// accepted. With an empty secret, anybody could sign.
func TestEmptySecret(t *testing.T) {
	for _, alg := range []Algorithm{HS256, HS384, HS512} {
		for _, secret := range [][]byte{nil, {}} {
			for _, weak := range []bool{false, true} {
				if _, err := NewKey(alg, secret, KeyOptions{InsecureWeakSecret: weak}); err == nil {
					t.Errorf("%s, weak %v: an empty secret was accepted", alg, weak)
				}
			}
		}
	}
}

// TestSecretHasFewBytes checks that a secret needs enough different bytes.
func TestSecretHasFewBytes(t *testing.T) {
	for distinct, ok := range map[int]bool{1: false, minDistinct - 1: false, minDistinct: true} {
		secret := make([]byte, 64)
		for i := range secret {
			secret[i] = byte(i % distinct)
		}
		if _, err := NewKey(HS256, secret, KeyOptions{}); (err == nil) != ok {
			t.Errorf("%d different bytes: %v", distinct, err)
		}
	}
}

// TestJ2_PublicKeyAsSecret checks that an encoded key is not accepted as a
// secret, even if weak secrets are.
func TestJ2_PublicKeyAsSecret(t *testing.T) {
	refuses := func(name string, secret []byte) {
		for _, weak := range []bool{false, true} {
			if _, err := NewKey(HS256, secret, KeyOptions{InsecureWeakSecret: weak}); err == nil {
				t.Errorf("%s, weak %v: accepted as a secret", name, weak)
			}
		}
	}
	refuses("PEM after space", []byte("  \n-----BEGIN X"))
	refuses("SSH Ed25519", []byte("ssh-ed25519 AAAA"))
	refuses("SSH ECDSA", []byte("ecdsa-sha2-nistp256 AAAA"))
	for _, alg := range []Algorithm{RS256, ES256, ES384, ES512, EdDSA} {
		public := must(testKey(alg).Public())
		der := must(x509.MarshalPKIXPublicKey(publicOf(public)))
		refuses(string(alg)+" PKIX", der)
		refuses(string(alg)+" PEM", pemOf("PUBLIC KEY", der))
		refuses(string(alg)+" base64", []byte(base64.StdEncoding.EncodeToString(der)))
		lines := strings.SplitAfter(string(pemOf("PUBLIC KEY", der)), "\n")
		refuses(string(alg)+" base64 in a file", []byte(strings.Join(lines[1:len(lines)-2], "")))
		refuses(string(alg)+" JWK Set", must(NewKeySet(public)).PublicJWKS())
		refuses(string(alg)+" JWK", public.JWK())
		refuses(string(alg)+" JWK in a file", append(append([]byte("\n "), public.JWK()...), '\n'))
		refuses(string(alg)+" private JWK", testKey(alg).JWK())
		if key, ok := publicOf(public).(*rsa.PublicKey); ok {
			refuses("PKCS#1", x509.MarshalPKCS1PublicKey(key))
		}
		if _, err := NewKey(HS256, der[:len(der)-1], KeyOptions{}); err != nil {
			t.Errorf("%s: bytes that are not a key: %v", alg, err)
		}
	}
	certificate := must(x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, testRSA().Public(), testRSA()))
	refuses("certificate", certificate)
	refuses("certificate in base64", []byte(base64.StdEncoding.EncodeToString(certificate)))
	refuses("kty last", []byte(`{"k":"AAAA","kty":"oct"}`))
	refuses("kty of a wrong type", []byte(`{"kty":null}`))
	for _, text := range []string{`{"name":"kty","of":"0123456789abcdef"}`, `"kty", and 0123456789abcdef more`} {
		if _, err := NewKey(HS256, []byte(text), KeyOptions{}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
