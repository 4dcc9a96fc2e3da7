package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
)

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestParsePEM(t *testing.T) {
	rsaKey := testRSA()
	ecKey := testKey(ES256).material.(*ecdsaPrivate).private
	edKey := testKey(EdDSA).material.(*ed25519Private).private
	sec1 := pemOf("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ecKey)))
	for name, tt := range map[string]struct {
		alg  Algorithm
		pem  []byte
		want *Key
	}{
		"PKCS#8 RSA":       {PS256, pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(rsaKey))), testKey(PS256)},
		"PKCS#8 EC":        {ES256, pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ecKey))), testKey(ES256)},
		"PKCS#8 Ed25519":   {EdDSA, pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(edKey))), testKey(EdDSA)},
		"PKCS#1 private":   {RS256, pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), testKey(RS256)},
		"PKCS#1 public":    {RS256, pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)), must(testKey(RS256).Public())},
		"SEC 1":            {ES256, sec1, testKey(ES256)},
		"SEC 1 parameters": {ES256, append(pemOf("EC PARAMETERS", []byte{6, 0}), sec1...), testKey(ES256)},
		"PKIX RSA":         {RS512, pemOf("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(rsaKey.Public()))), must(testKey(RS512).Public())},
		"PKIX EC":          {ES256, pemOf("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(ecKey.Public()))), must(testKey(ES256).Public())},
		"PKIX Ed25519":     {EdDSA, pemOf("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(edKey.Public()))), must(testKey(EdDSA).Public())},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParsePEM(tt.alg, tt.pem, KeyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.JWK(), tt.want.JWK()) {
				t.Errorf("not the key that was written")
			}
		})
	}
}

func TestParsePEMRefuses(t *testing.T) {
	private := pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(testRSA())))
	for name, tt := range map[string]struct {
		alg  Algorithm
		data []byte
		want string
	}{
		"nothing":     {RS256, nil, "no key found"},
		"text":        {RS256, []byte("hello"), "no key found"},
		"two keys":    {RS256, append(bytes.Clone(private), private...), "more than one key"},
		"certificate": {RS256, pemOf("CERTIFICATE", []byte{1}), "CERTIFICATE"},
		"encrypted":   {RS256, pemOf("ENCRYPTED PRIVATE KEY", []byte{1}), "ENCRYPTED"},
		"damaged":     {RS256, pemOf("PRIVATE KEY", []byte{1, 2, 3}), "damaged"},
		"too long":    {RS256, bytes.Repeat([]byte{'\n'}, maxKeyBytes+1), "longer"},
		"HMAC":        {HS256, private, "RSA key"},
		"family":      {ES256, private, "RSA key"},
		"no such alg": {"XS256", private, "unknown algorithm"},
		"P-224":       {"", pemOf("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)).Public()))), "unknown algorithm"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParsePEM(tt.alg, tt.data, KeyOptions{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// TestPublicPEM checks that the public half in PEM is the same key, with an
// algorithm that follows from its type.
func TestPublicPEM(t *testing.T) {
	for _, alg := range []Algorithm{RS256, ES256, ES384, ES512, EdDSA} {
		data, err := testKey(alg).PublicPEM()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParsePEM("", data, KeyOptions{})
		if err != nil || !bytes.Equal(got.JWK(), must(testKey(alg).Public()).JWK()) {
			t.Errorf("%s: got %v, %v", alg, got, err)
		}
		if got.CanSign() || got.Algorithm() != alg {
			t.Errorf("%s: got %v", alg, got)
		}
	}
	if data, err := testKey(HS256).PublicPEM(); err == nil {
		t.Errorf("an HMAC secret was published: %s", data)
	}
	private := must(ParsePEM("", pemOf("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(testKey(ES384).material.(*ecdsaPrivate).private))), KeyOptions{}))
	if private.Algorithm() != ES384 || !private.CanSign() {
		t.Errorf("got %v", private)
	}
}

// pemSeeds returns a key in all its forms.
func pemSeeds(k *Key) [][]byte {
	list := [][]byte{nil, []byte("-----BEGIN PUBLIC KEY-----\n")}
	switch m := k.material.(type) {
	case *rsaPrivate:
		list = append(list, pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(m.private)), pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(m.key)),
			pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(m.private))))
	case *ecdsaPrivate:
		list = append(list, pemOf("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(m.private))), pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(m.private))))
	case *ed25519Private:
		list = append(list, pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(m.private))))
	}
	return append(list, pemOf("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(publicOf(k)))))
}
