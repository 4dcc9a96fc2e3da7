package wsauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"wsauth/token"
)

// The names of the tests' issuer and audience.
const (
	testIssuer   = "https://issuer.example"
	testAudience = "https://api.example"
)

// keyring is a key of each family, known to both sides: token keys for the
// guard, raw material for the attacker, who has the public halves only but is
// lent the private ones where a test needs a good signature on a bad token.
type keyring struct {
	secret []byte
	rsa    *rsa.PrivateKey
	ec     *ecdsa.PrivateKey
	ed     ed25519.PrivateKey
	set    *token.KeySet // kid: hs, rs, ps, es, ed
	hs     *token.Key
}

var keys = sync.OnceValue(func() *keyring {
	k := &keyring{secret: []byte("0123456789abcdefghijklmnopqrstuvwxyz!ABCDEFGHIJKLMNOPQRSTUVWXYZ?")}
	var err error
	check := func() {
		if err != nil {
			panic(err)
		}
	}
	k.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	check()
	k.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check()
	_, k.ed, err = ed25519.GenerateKey(rand.Reader)
	check()
	var all []*token.Key
	add := func(id string, alg token.Algorithm, material any) *token.Key {
		key, keyErr := token.NewKey(alg, material, token.KeyOptions{ID: id})
		err = keyErr
		check()
		all = append(all, key)
		return key
	}
	k.hs = add("hs", token.HS256, k.secret)
	add("rs", token.RS256, &k.rsa.PublicKey)
	add("ps", token.PS256, &k.rsa.PublicKey)
	add("es", token.ES256, &k.ec.PublicKey)
	add("ed", token.EdDSA, k.ed.Public())
	k.set, err = token.NewKeySet(all...)
	check()
	return k
})

// newVerifier trusts all keys of the keyring.
func newVerifier(t testing.TB, leeway time.Duration) *token.Verifier {
	t.Helper()
	v, err := token.NewVerifier(token.VerifierConfig{
		Keys: keys().set, Issuer: testIssuer, Audience: []string{testAudience}, Leeway: leeway,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// issue makes a proper token.
func issue(t testing.TB, kind token.Type, subject string, o token.Options) *token.Token {
	t.Helper()
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: keys().hs, Issuer: testIssuer, Audience: []string{testAudience}})
	if err != nil {
		t.Fatal(err)
	}
	makeToken := issuer.Access
	if kind == token.TypeRefresh {
		makeToken = issuer.Refresh
	}
	made, err := makeToken(subject, o)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// access is a proper access token.
func access(t testing.TB) string { return issue(t, token.TypeAccess, "alice", token.Options{}).Raw }

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// A signer makes the third segment's bytes.
type signer func(input string) string

func macSigner(secret []byte) signer {
	return func(input string) string {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		return string(mac.Sum(nil))
	}
}

func mac512(input string) string {
	mac := hmac.New(sha512.New, keys().secret)
	mac.Write([]byte(input))
	return string(mac.Sum(nil))
}

func digest(input string) []byte {
	sum := sha256.Sum256([]byte(input))
	return sum[:]
}

func signHS(input string) string { return macSigner(keys().secret)(input) }

func signRS(input string) string {
	return string(sure(rsa.SignPKCS1v15(nil, keys().rsa, crypto.SHA256, digest(input))))
}

func pssSigner(salt int) signer {
	return func(input string) string {
		return string(sure(rsa.SignPSS(rand.Reader, keys().rsa, crypto.SHA256, digest(input), &rsa.PSSOptions{SaltLength: salt})))
	}
}

func signES(input string) string {
	r, s, err := ecdsa.Sign(rand.Reader, keys().ec, digest(input))
	if err != nil {
		panic(err)
	}
	return fixed(r) + fixed(s)
}

// fixed is n as ES256 writes it (RFC 7518 section 3.4).
func fixed(n *big.Int) string { return string(n.FillBytes(make([]byte, 32))) }

func signEd(input string) string { return string(ed25519.Sign(keys().ed, []byte(input))) }

func sure[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// compact makes a token of any header and payload.
func compact(header, payload string, sign signer) string {
	signed := b64(header) + "." + b64(payload)
	return signed + "." + b64(sign(signed))
}

// head is a header with the algorithm and, when it is not empty, the kid; more
// is appended, beginning with a comma.
func head(alg, kid, more string) string {
	if kid != "" {
		more = fmt.Sprintf(`,"kid":%q`, kid) + more
	}
	return fmt.Sprintf(`{"alg":%q,"typ":"JWT"%s}`, alg, more)
}

// claims is the payload of a proper access token with changes: name and JSON
// by turns, where no JSON removes the claim.
func claims(changes ...string) string {
	now := time.Now().Unix()
	names := []string{"sub", "iss", "aud", "iat", "nbf", "exp", "jti", "sid", "type", "fresh"}
	values := map[string]string{
		"sub": `"alice"`, "iss": fmt.Sprintf("%q", testIssuer), "aud": fmt.Sprintf("%q", testAudience),
		"iat": fmt.Sprint(now - 10), "nbf": fmt.Sprint(now - 10), "exp": fmt.Sprint(now + 600),
		"jti": `"the-id"`, "sid": `"the-login"`, "type": `"access"`, "fresh": "true",
	}
	for i := 0; i < len(changes); i += 2 {
		if _, known := values[changes[i]]; !known {
			names = append(names, changes[i])
		}
		values[changes[i]] = changes[i+1]
	}
	var members []string
	for _, name := range names {
		if values[name] != "" {
			members = append(members, fmt.Sprintf("%q:%s", name, values[name]))
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

// signed is a token with a good signature of the HMAC key.
func signed(payload string) string { return compact(head("HS256", "hs", ""), payload, signHS) }

// publicForms are the ways in which a public key is written, all of which an
// attacker may use as an HMAC secret.
func publicForms(key any) map[string][]byte {
	der := sure(x509.MarshalPKIXPublicKey(key))
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	forms := map[string][]byte{
		"pem": block, "pem_without_newline": []byte(strings.TrimSpace(string(block))), "der": der,
	}
	switch k := key.(type) {
	case *rsa.PublicKey:
		forms["pkcs1"] = x509.MarshalPKCS1PublicKey(k)
		forms["pkcs1_pem"] = pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: forms["pkcs1"]})
		forms["modulus"] = k.N.Bytes()
		forms["ssh"] = sshKey("ssh-rsa", []byte{1, 0, 1}, append([]byte{0}, k.N.Bytes()...))
		forms["jwk"] = fmt.Appendf(nil, `{"kty":"RSA","n":%q,"e":"AQAB"}`, b64(string(k.N.Bytes())))
	case *ecdsa.PublicKey:
		point := sure(k.Bytes())
		forms["point"] = point
		forms["ssh"] = sshKey("ecdsa-sha2-nistp256", []byte("nistp256"), point)
		forms["jwk"] = fmt.Appendf(nil, `{"kty":"EC","crv":"P-256","x":%q,"y":%q}`, b64(string(point[1:33])), b64(string(point[33:])))
	case ed25519.PublicKey:
		forms["point"] = k
		forms["ssh"] = sshKey("ssh-ed25519", k)
		forms["jwk"] = fmt.Appendf(nil, `{"kty":"OKP","crv":"Ed25519","x":%q}`, b64(string(k)))
	}
	return forms
}

// sshKey is a line of authorized_keys (RFC 4253 section 6.6).
func sshKey(kind string, parts ...[]byte) []byte {
	var wire []byte
	for _, p := range append([][]byte{[]byte(kind)}, parts...) {
		n := len(p)
		wire = append(append(wire, byte(n>>24), byte(n>>16), byte(n>>8), byte(n)), p...)
	}
	return []byte(kind + " " + base64.StdEncoding.EncodeToString(wire))
}
