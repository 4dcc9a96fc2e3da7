package idp_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wsauth/internal/idptest"
	"wsauth/token"
)

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// forge returns a token with any header, claims and signature.
func forge(header, claims map[string]any, sign func(signed []byte) []byte) string {
	signed := b64(must(json.Marshal(header))) + "." + b64(must(json.Marshal(claims)))
	return signed + "." + b64(sign([]byte(signed)))
}

// TestJ27_TwoProviders checks that if two providers have different keys with
// the same kid, no token of one opens a socket as a user of the other or with
// the issuer of the other, whichever provider was seen first.
func TestJ27_TwoProviders(t *testing.T) {
	a, b := idptest.New(t), idptest.New(t)
	s := onLoopback(t, patience, a, b)
	for _, tt := range []struct {
		name   string
		signer *idptest.Provider
		iss    any
		want   string // the user; "": refused
	}{
		{"of the one", a, a.Issuer(), "a|ada"},
		{"of the other", b, b.Issuer(), "b|ada"},
		{"the key of the one for the other", a, b.Issuer(), ""},
		{"the key of the other for the one", b, a.Issuer(), ""},
		{"of the one, again", a, a.Issuer(), "a|ada"},
		{"a slash", a, a.Issuer() + "/", ""},
		{"a prefix", a, a.Issuer()[:len(a.Issuer())-1], ""},
		{"another case", a, strings.ToUpper(a.Issuer()), ""},
		{"a list", a, []string{a.Issuer()}, ""},
		{"both", a, []string{a.Issuer(), b.Issuer()}, ""},
		{"none", a, nil, ""},
		{"empty", a, "", ""},
	} {
		c, user, status := s.dial(tt.signer.SignWith("key-1", typed, access("ada", map[string]any{"iss": tt.iss})))
		if c != nil {
			c.CloseNow()
		}
		if (status == http.StatusSwitchingProtocols) != (tt.want != "") || user != tt.want {
			t.Errorf("%s: got %d, %q", tt.name, status, user)
		}
	}
	// An outage of one provider does not affect the other, and makes no invalid
	// token valid.
	a.Down()
	b.Rotate("key-2", "ES256")
	s.wantStatus(http.StatusSwitchingProtocols, "a new key of the other", tokenByKey(b, "key-2"))
	s.wantStatus(http.StatusServiceUnavailable, "which is for itself alone", b.SignWith("key-2", typed, access("ada", map[string]any{"iss": a.Issuer()})))
	s.wantStatus(http.StatusSwitchingProtocols, "a known key of the one", tokenByKey(a, "key-1"))
}

// TestJ28_ProviderAudience checks that a token for another audience opens no
// socket.
func TestJ28_ProviderAudience(t *testing.T) {
	p := idptest.New(t)
	s := onLoopback(t, patience, p)
	for _, aud := range []any{nil, "", "cha", "chats", "CHAT", " chat", []string{}, []string{""}, []any{"chat", 1}, []any{[]string{"chat"}}, map[string]any{"chat": true}} {
		s.wantStatus(http.StatusUnauthorized, "an audience", p.SignWith("key-1", typed, access("ada", map[string]any{"aud": aud})))
	}
	s.wantStatus(http.StatusSwitchingProtocols, "ours", p.SignWith("key-1", typed, access("ada", map[string]any{"aud": "chat"})))
}

// published fetches the key set of a provider. It returns the whole set and its
// single keys.
func published(t *testing.T, p *idptest.Provider) (set []byte, jwks []json.RawMessage) {
	t.Helper()
	res, err := http.Get(p.KeysURL())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	set = must(io.ReadAll(res.Body))
	var document struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(set, &document); err != nil {
		t.Fatal(err)
	}
	return set, document.Keys
}

// spki returns the public key of a JWK in the forms that other programs use.
func spki(t *testing.T, jwk []byte) (der, pemText []byte) {
	t.Helper()
	key := must(token.ParseJWK(jwk, token.KeyOptions{}))
	pemText = must(key.PublicPEM())
	block, _ := pem.Decode(pemText)
	if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		t.Fatal(err)
	}
	return block.Bytes, pemText
}

// TestProviderAlgorithmConfusion checks that no encoding of a provider's public
// key is accepted as a secret, for any algorithm or none.
func TestProviderAlgorithmConfusion(t *testing.T) {
	p := idptest.New(t)
	p.Rotate("rsa", "RS256")
	p.Rotate("ed", "EdDSA")
	secret := make([]byte, 64)
	_, _ = rand.Read(secret) // never fails
	p.Publish(`{"kty":"oct","kid":"secret","alg":"HS256","k":"` + b64(secret) + `"}`)
	s := onLoopback(t, patience, p)
	for _, kid := range []string{"key-1", "rsa", "ed"} {
		s.wantStatus(http.StatusSwitchingProtocols, kid, tokenByKey(p, kid))
	}
	p.Rotate("key-2", "ES256")
	s.wantStatus(http.StatusSwitchingProtocols, "key-2", tokenByKey(p, "key-2"))
	s.wantStatus(http.StatusUnauthorized, "the kid of another key", p.SignWith("key-2", map[string]any{"kid": "key-1", "typ": "at+jwt"}, access("ada", nil)))
	set, jwks := published(t, p)
	secrets := map[string][]byte{"nothing": nil, "the set": set, "the published secret": secret}
	for _, jwk := range jwks[1:] {
		der, text := spki(t, jwk)
		var extra map[string]string
		if err := json.Unmarshal(jwk, &extra); err != nil {
			t.Fatal(err)
		}
		kid := extra["kid"]
		secrets["JWK "+kid], secrets["DER "+kid], secrets["PEM "+kid], secrets["PEM line "+kid] = jwk, der, text, text[:len(text)-1]
		for _, member := range []string{"n", "x", "y"} {
			secrets[member+" of "+kid] = []byte(extra[member])
			secrets[member+" of "+kid+", decoded"] = must(base64.RawURLEncoding.DecodeString(extra[member]))
		}
	}
	claims := access("eve", map[string]any{"iss": p.Issuer()})
	hashes := map[string]crypto.Hash{"HS256": crypto.SHA256, "HS384": crypto.SHA384, "HS512": crypto.SHA512}
	for name, secret := range secrets {
		for alg, hash := range hashes {
			for _, kid := range []any{"key-1", "rsa", "ed", "secret", nil} {
				header := map[string]any{"alg": alg, "typ": "at+jwt", "kid": kid}
				if kid == nil {
					delete(header, "kid")
				}
				s.wantStatus(http.StatusUnauthorized, alg+" with "+name, forge(header, claims, func(signed []byte) []byte {
					mac := hmac.New(hash.New, secret)
					mac.Write(signed)
					return mac.Sum(nil)
				}))
			}
		}
	}
	for _, kid := range []string{"key-1", "rsa", "ed", "secret"} {
		for _, alg := range []any{"none", "None", "NONE", "nOnE", "", nil, []string{"none"}, "HS256", "ES256", "RS256"} {
			s.wantStatus(http.StatusUnauthorized, "an empty signature", forge(map[string]any{"alg": alg, "typ": "at+jwt", "kid": kid}, claims, func([]byte) []byte { return nil }))
		}
		for _, alg := range []string{"none", "HS256", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed448", "es256", "RS256 "} {
			if own := map[string]string{"key-1": "ES256", "rsa": "RS256", "ed": "EdDSA"}[kid]; own != "" && own != alg {
				s.wantStatus(http.StatusUnauthorized, kid+" for "+alg, p.SignWith(kid, map[string]any{"alg": alg, "typ": "at+jwt"}, access("ada", nil)))
			}
		}
	}
}

// TestQ2_ProviderKeysInTokens checks that a key that a token contains or refers
// to is not used.
func TestQ2_ProviderKeysInTokens(t *testing.T) {
	p := idptest.New(t)
	s := onLoopback(t, patience, p)
	s.wantStatus(http.StatusSwitchingProtocols, "the key", tokenByKey(p, "key-1"))

	own := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	point := must(own.PublicKey.Bytes())
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der := must(x509.CreateCertificate(rand.Reader, template, template, own.Public(), own))
	jwk := map[string]any{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "own", "x": b64(point[1:33]), "y": b64(point[33:])}
	requests := new(atomic.Int64)
	theirs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		_, _ = w.Write(must(json.Marshal(map[string]any{"keys": []any{jwk}})))
	}))
	defer theirs.Close()
	sign := func(signed []byte) []byte {
		sum := sha256.Sum256(signed)
		r, s, err := ecdsa.Sign(rand.Reader, own, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return slices.Concat(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32)))
	}
	thumb := sha256.Sum256(der)
	before := time.Now().Add(-5 * time.Minute).Unix() // before the keys were fetched, so that the test does not wait for the unknown kid
	for _, kid := range []string{"key-1", "own", theirs.URL, "../../keys", "\x00", "' OR 1=1 --"} {
		for name, v := range map[string]any{
			"jwk": jwk, "jku": theirs.URL, "x5u": theirs.URL, "x5c": []string{base64.StdEncoding.EncodeToString(der)}, "x5t#S256": b64(thumb[:]), "iss": p.Issuer(),
		} {
			header := map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": kid, name: v}
			s.wantStatus(http.StatusUnauthorized, name+" and kid "+kid, forge(header, access("eve", map[string]any{"iss": p.Issuer(), "iat": before}), sign))
			s.wantStatus(http.StatusUnauthorized, name+" and its iss", forge(header, access("eve", map[string]any{"iss": theirs.URL, "iat": before}), sign))
		}
	}
	if requests.Load() != 0 {
		t.Errorf("%d requests followed a URL in a token", requests.Load())
	}
	s.wantStatus(http.StatusSwitchingProtocols, "the key", tokenByKey(p, "key-1"))
}
