package attack

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
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
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"wsauth/token"
)

// The issuer and the audience of the tokens in tests.
const (
	testIssuer   = "https://issuer.example"
	testAudience = "https://api.example"
)

// A keyring contains a key of each kind. The guard's verifier trusts them.
// Attackers have the public keys. If a test needs a valid signature on an
// invalid token, it uses a private key.
type keyring struct {
	secret []byte
	rsa    *rsa.PrivateKey
	ec     *ecdsa.PrivateKey
	ed     ed25519.PrivateKey
	set    *token.KeySet // with the IDs hs, rs, ps, es and ed
	hs     *token.Key
}

// keys returns the keyring of testdata/keys.pem.
var keys = sync.OnceValue(func() *keyring {
	k := &keyring{secret: []byte("0123456789abcdefghijklmnopqrstuvwxyz!ABCDEFGHIJKLMNOPQRSTUVWXYZ?")}
	rest := must(os.ReadFile("testdata/keys.pem"))
	for range 3 {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch key := must(x509.ParsePKCS8PrivateKey(block.Bytes)).(type) {
		case *rsa.PrivateKey:
			k.rsa = key
		case *ecdsa.PrivateKey:
			k.ec = key
		case ed25519.PrivateKey:
			k.ed = key
		}
	}
	trusted := func(id string, alg token.Algorithm, material any) *token.Key {
		return must(token.NewKey(alg, material, token.KeyOptions{ID: id}))
	}
	k.hs = trusted("hs", token.HS256, k.secret)
	k.set = must(token.NewKeySet(
		k.hs, trusted("rs", token.RS256, &k.rsa.PublicKey), trusted("ps", token.PS256, &k.rsa.PublicKey),
		trusted("es", token.ES256, &k.ec.PublicKey), trusted("ed", token.EdDSA, k.ed.Public()),
	))
	return k
})

// newVerifier returns a verifier that trusts the keyring.
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

// issue issues a token as an application does.
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

// access returns an access token of alice.
func access(t testing.TB) string { return issue(t, token.TypeAccess, "alice", token.Options{}).Raw }

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// A signer returns the signature of the first two segments.
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
	return string(must(rsa.SignPKCS1v15(nil, keys().rsa, crypto.SHA256, digest(input))))
}

func pssSigner(salt int) signer {
	return func(input string) string {
		return string(must(rsa.SignPSS(rand.Reader, keys().rsa, crypto.SHA256, digest(input), &rsa.PSSOptions{SaltLength: salt})))
	}
}

func signES(input string) string {
	r, s, err := ecdsa.Sign(rand.Reader, keys().ec, digest(input))
	if err != nil {
		panic(err)
	}
	return encodeES256(r) + encodeES256(s)
}

// encodeES256 returns n as ES256 encodes it (RFC 7518 section 3.4).
func encodeES256(n *big.Int) string { return string(n.FillBytes(make([]byte, 32))) }

func signEd(input string) string { return string(ed25519.Sign(keys().ed, []byte(input))) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// compact returns a token with any header and payload, signed by sign.
func compact(header, payload string, sign signer) string {
	signed := b64(header) + "." + b64(payload)
	return signed + "." + b64(sign(signed))
}

// head returns a header with an algorithm, and with a kid unless kid is empty.
// more is appended and must begin with a comma, unless it is empty.
func head(alg, kid, more string) string {
	if kid != "" {
		more = fmt.Sprintf(`,"kid":%q`, kid) + more
	}
	return fmt.Sprintf(`{"alg":%q,"typ":"JWT"%s}`, alg, more)
}

// claims returns the payload of a good access token with changes. The changes
// are pairs of a name and a value in JSON; an empty value removes the claim.
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

// signed returns a token with the payload and a good HS256 signature.
func signed(payload string) string { return compact(head("HS256", "hs", ""), payload, signHS) }

// publicForms returns the encodings of a public key, each of which an attacker
// may use as an HMAC secret.
func publicForms(key any) map[string][]byte {
	der := must(x509.MarshalPKIXPublicKey(key))
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
		point := must(k.Bytes())
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

// sshKey returns a line of authorized_keys (RFC 4253 section 6.6).
func sshKey(kind string, parts ...[]byte) []byte {
	var wire []byte
	for _, p := range append([][]byte{[]byte(kind)}, parts...) {
		n := len(p)
		wire = append(append(wire, byte(n>>24), byte(n>>16), byte(n>>8), byte(n)), p...)
	}
	return []byte(kind + " " + base64.StdEncoding.EncodeToString(wire))
}
