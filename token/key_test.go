package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"testing"
)

func ed25519PublicKey(b []byte) ed25519.PublicKey { return ed25519.PublicKey(b) }

// smallOrderEncodings computes the constants of ed25519.go: every encoding,
// canonical or not, of a point whose order divides 8.
func smallOrderEncodings(t *testing.T) [][]byte {
	t.Helper()
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	mod := func(x *big.Int) *big.Int { return x.Mod(x, p) }
	inverse := func(x *big.Int) *big.Int { return new(big.Int).ModInverse(x, p) }
	d := mod(new(big.Int).Mul(big.NewInt(-121665), inverse(big.NewInt(121666))))

	// A point doubles to y = 0 when x² = −y² (the sum's y² + x² is its
	// numerator): with the curve's −x² + y² = 1 + dx²y², d·y⁴ + 2y² − 1 = 0.
	root := new(big.Int).ModSqrt(mod(new(big.Int).Add(big.NewInt(1), d)), p)
	if root == nil {
		t.Fatal("1 + d has no root")
	}
	ys := []*big.Int{new(big.Int), big.NewInt(1), new(big.Int).Sub(p, big.NewInt(1))}
	for _, sign := range []int64{1, -1} {
		square := mod(new(big.Int).Mul(new(big.Int).Add(big.NewInt(-1), new(big.Int).Mul(big.NewInt(sign), root)), inverse(d)))
		if y := new(big.Int).ModSqrt(square, p); y != nil {
			ys = append(ys, y, new(big.Int).Sub(p, y))
		}
	}
	if len(ys) != 5 {
		t.Fatalf("%d y of small order, want 5", len(ys))
	}
	var encodings [][]byte
	for _, y := range ys {
		for _, v := range []*big.Int{y, new(big.Int).Add(y, p)} {
			if v.BitLen() > 255 {
				continue
			}
			encoded := v.FillBytes(make([]byte, 32))
			slices.Reverse(encoded)
			negative := bytes.Clone(encoded)
			negative[31] |= 0x80
			encodings = append(encodings, encoded, negative)
		}
	}
	return encodings
}

func TestSmallOrder(t *testing.T) {
	encodings := smallOrderEncodings(t)
	if len(encodings) != 14 { // 5 canonical y and 2 others, with both signs
		t.Errorf("%d encodings, want 14", len(encodings))
	}
	for _, y := range encodings {
		if !smallOrder(y) && canonicalPoint(y) {
			t.Errorf("%x is missed", y)
		}
	}
	for range 100 {
		public := testKeyEd25519(t)
		if smallOrder(public) || !canonicalPoint(public) {
			t.Errorf("%x is a valid key", public)
		}
	}
}

func testKeyEd25519(t *testing.T) ed25519.PublicKey {
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func TestKey(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			key := named(testKey(alg), "k")
			if key.ID() != "k" || key.Algorithm() != alg || !key.CanSign() {
				t.Errorf("got %s", key)
			}
			again, err := ParseJWK(key.JWK(), KeyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(again.JWK(), key.JWK()) {
				t.Error("the JWK does not come back")
			}
			input := []byte("input")
			if !again.verify(input, must(key.sign(input))) || !key.verify(input, must(again.sign(input))) {
				t.Error("another key came back")
			}
			public, err := key.Public()
			if suites[alg].family == familyHMAC {
				if err == nil {
					t.Error("an HMAC secret has a public half")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if public.CanSign() || public.ID() != "k" || !public.verify(input, must(key.sign(input))) {
				t.Errorf("public half: %s", public)
			}
			for _, member := range []string{`"d":`, `"p":`, `"q":`, `"dp":`, `"dq":`, `"qi":`, `"k":`} {
				if bytes.Contains(public.JWK(), []byte(member)) {
					t.Errorf("the public JWK has %s", member)
				}
			}
			if _, err := public.sign(input); err == nil {
				t.Error("a public key signed")
			}
			if same, err := public.Public(); err != nil || !bytes.Equal(same.JWK(), public.JWK()) {
				t.Error("the public half of a public key is another key")
			}
		})
	}
}

func TestGenerateKey(t *testing.T) {
	seen := map[string]bool{}
	for _, alg := range []Algorithm{HS256, HS384, HS512, RS256, PS512, ES256, ES384, ES512, EdDSA} {
		for range 2 {
			key := must(GenerateKey(alg))
			if key.ID() == "" || seen[key.ID()] || key.Algorithm() != alg || !key.CanSign() {
				t.Errorf("got %s", key)
			}
			seen[key.ID()] = true
		}
	}
	for _, alg := range []Algorithm{"", "none", "hs256", "ES256K"} {
		if _, err := GenerateKey(alg); err == nil {
			t.Errorf("%q: a key was made", alg)
		}
	}
}

// TestKeyIsCopied checks that a key does not change with its material.
func TestKeyIsCopied(t *testing.T) {
	secret := bytes.Clone(testKey(HS256).material.(*hmacSecret).secret)
	key := must(NewKey(HS256, secret, KeyOptions{}))
	before := key.JWK()
	clear(secret)
	if !bytes.Equal(before, key.JWK()) {
		t.Error("the secret was not copied")
	}
	public := testKeyEd25519(t)
	edKey := must(NewKey(EdDSA, public, KeyOptions{}))
	before = edKey.JWK()
	clear(public)
	if !bytes.Equal(before, edKey.JWK()) {
		t.Error("the public key was not copied")
	}
}

// TestQ1_NewKeyRefuses checks that NewKey refuses material that does not fit
// the algorithm.
func TestQ1_NewKeyRefuses(t *testing.T) {
	materials := map[family][]any{
		familyHMAC:    {testKey(HS512).material.(*hmacSecret).secret},
		familyRSA:     {testRSA(), &testRSA().PublicKey},
		familyEd25519: {testKey(EdDSA).material.(*ed25519Private).private, testKey(EdDSA).material.(*ed25519Private).key},
	}
	curves := map[Algorithm][]any{}
	for _, alg := range []Algorithm{ES256, ES384, ES512} {
		m := testKey(alg).material.(*ecdsaPrivate)
		curves[alg] = []any{m.private, m.key}
	}
	for _, alg := range algorithms {
		try := func(m any, ok bool) {
			if _, err := NewKey(alg, m, KeyOptions{}); (err == nil) != ok {
				t.Errorf("%s with %T: %v", alg, m, err)
			}
		}
		for f, list := range materials {
			for _, m := range list {
				try(m, f == suites[alg].family)
			}
		}
		for curve, list := range curves {
			for _, m := range list {
				try(m, curve == alg)
			}
		}
		for _, m := range []any{nil, "secret", 1, (*rsa.PrivateKey)(nil), (*ecdsa.PublicKey)(nil), (*ecdsa.PrivateKey)(nil), ed25519.PublicKey{1}, ed25519.PrivateKey{1}, rsa.PublicKey{}} {
			try(m, false)
		}
	}
	wrongHalf := slices.Clone(testKey(EdDSA).material.(*ed25519Private).private)
	copy(wrongHalf[32:], testKeyEd25519(t))
	if _, err := NewKey(EdDSA, wrongHalf, KeyOptions{}); err == nil {
		t.Error("an Ed25519 key with the public half of another was accepted")
	}
	otherPoint := *testKey(ES256).material.(*ecdsaPrivate).private
	otherPoint.PublicKey = *must(GenerateKey(ES256)).material.(*ecdsaPrivate).key
	if _, err := NewKey(ES256, &otherPoint, KeyOptions{}); err == nil {
		t.Error("an ECDSA key with the public half of another was accepted")
	}
	otherD := *testRSA()
	otherD.D = new(big.Int).Add(otherD.D, big.NewInt(2))
	if _, err := NewKey(RS256, &otherD, KeyOptions{}); err == nil {
		t.Error("an RSA key with another exponent was accepted")
	}
	for _, id := range []string{"a\n", "\x00", "\xff", strings.Repeat("k", 257), "\u202e"} {
		if _, err := NewKey(RS256, testRSA(), KeyOptions{ID: id}); err == nil {
			t.Errorf("the ID %q was accepted", id)
		}
	}
}

// TestRSALimits checks the minimum and maximum sizes of a modulus, and that a
// private key without one of its parts is refused.
func TestRSALimits(t *testing.T) {
	for bits, ok := range map[uint]bool{minRSABits - 1: false, minRSABits: true, maxRSABits: true, maxRSABits + 1: false} {
		odd := new(big.Int).Lsh(big.NewInt(1), bits-1)
		odd.SetBit(odd, 0, 1)
		if _, err := newRSAPublic(suites[RS256], &rsa.PublicKey{N: odd, E: 65537}); (err == nil) != ok {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
	for name, remove := range map[string]func(*rsa.PrivateKey){
		"D":                func(k *rsa.PrivateKey) { k.D = nil },
		"the first prime":  func(k *rsa.PrivateKey) { k.Primes[0] = nil },
		"the second prime": func(k *rsa.PrivateKey) { k.Primes[1] = nil },
		"a prime":          func(k *rsa.PrivateKey) { k.Primes = k.Primes[:1] },
		"all primes":       func(k *rsa.PrivateKey) { k.Primes = nil },
	} {
		key := *testRSA()
		key.Primes = slices.Clone(key.Primes)
		remove(&key)
		if _, err := NewKey(RS256, &key, KeyOptions{}); err == nil {
			t.Errorf("a key without %s is accepted", name)
		}
	}
}

// TestROCA checks that a modulus with the structure of those made by Infineon's
// library is refused. The test builds it without knowing its primes.
func TestROCA(t *testing.T) {
	product := big.NewInt(2)
	for _, prime := range rocaPrimes {
		product.Mul(product, big.NewInt(prime))
	}
	n := new(big.Int).Exp(big.NewInt(65537), big.NewInt(5), product)
	n.Add(n, new(big.Int).Mul(product, new(big.Int).Div(new(big.Int).Lsh(big.NewInt(1), minRSABits), product)))
	n.Sub(n, product)
	if _, err := NewKey(RS256, &rsa.PublicKey{N: n, E: 65537}, KeyOptions{}); err == nil || !strings.Contains(err.Error(), "ROCA") {
		t.Errorf("%d bits: %v", n.BitLen(), err)
	}
}

// TestROCAPrimes checks that each number is a prime modulo which 65537 has few
// powers: any other number would miss weak keys or refuse good ones.
func TestROCAPrimes(t *testing.T) {
	for _, prime := range rocaPrimes {
		powers := 0
		for residue := range prime {
			if powerOf65537(residue, prime) {
				powers++
			}
		}
		if !big.NewInt(prime).ProbablyPrime(0) || powers >= int(prime)-1 {
			t.Errorf("%d has %d powers", prime, powers)
		}
	}
}

// TestSecretsAreNotShown checks that no likely way of printing a value that
// holds a secret shows the secret.
func TestSecretsAreNotShown(t *testing.T) {
	for _, alg := range []Algorithm{HS256, RS256, ES256, EdDSA} {
		key := named(testKey(alg), "my-kid")
		issuer := must(NewIssuer(IssuerConfig{Key: key}))
		set := must(NewKeySet(key))
		tok := must(issuer.Access("alice", Options{CSRF: true}))
		verifier := newVerifier(t, VerifierConfig{Keys: set})

		var members map[string]string
		if err := json.Unmarshal(key.JWK(), &members); err != nil {
			t.Fatal(err)
		}
		secrets := map[string][]byte{"csrf": []byte(tok.Claims.CSRF), "signature": []byte(tok.Raw[strings.LastIndexByte(tok.Raw, '.')+1:])}
		for _, name := range []string{"k", "d", "p"} {
			if members[name] != "" {
				secrets[name] = must(base64url.DecodeString(members[name]))
			}
		}
		var out bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&out, nil))
		jsonLogger := slog.New(slog.NewJSONHandler(&out, nil))
		holder := struct{ K any }{key}
		for _, v := range []any{key, *key, &holder, holder, []*Key{key}, map[string]*Key{"k": key}, set, *set, issuer, *issuer, verifier, *verifier, IssuerConfig{Key: key}, tok, *tok, tok.Claims, *tok.Claims} {
			fmt.Fprintf(&out, "%v %+v %#v %s %q %x\n", v, v, v, v, v, v)
			fmt.Fprintln(&out, v)
			logger.Info("m", "v", v)
			jsonLogger.Info("m", "v", v)
		}
		for _, v := range []any{key, *key, holder, set, issuer, verifier} {
			data, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			out.Write(data)
		}
		for name, secret := range secrets {
			for form, text := range map[string]string{
				"raw": string(secret), "hex": fmt.Sprintf("%x", secret), "base64url": encode(secret), "base64": base64.StdEncoding.EncodeToString(secret),
				"decimal": strings.Trim(fmt.Sprint(secret), "[]"), "go": strings.Trim(fmt.Sprintf("%#v", secret), "[]byte{}"), "integer": new(big.Int).SetBytes(secret).String(),
			} {
				if strings.Contains(out.String(), text) {
					t.Errorf("%s: %s is shown, as %s", alg, name, form)
				}
			}
		}
		if !strings.Contains(out.String(), "my-kid") {
			t.Error("the ID is not shown either")
		}
	}
}
