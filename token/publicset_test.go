package token

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestParsePublicKeySet checks that one bad key of a published set, even a
// secret, does not invalidate the others.
func TestParsePublicKeySet(t *testing.T) {
	public := func(alg Algorithm, id string) string {
		return string(must(named(testKey(alg), id).Public()).JWK())
	}
	keys := []string{public(RS256, "good"), `{"kty":"EC"}`, string(named(testKey(ES256), "private").JWK()), string(named(testKey(HS256), "secret").JWK()), `1`}
	for range 9 {
		keys = append(keys, string(must(named(must(GenerateKey(EdDSA)), "").Public()).JWK()))
	}
	set, faults, err := ParsePublicKeySet(fmt.Appendf(nil, `{"keys":[%s]}`, strings.Join(keys, ",")))
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Keys()) != 8 || set.Keys()[0].ID() != "good" || len(faults) != 6 {
		t.Errorf("%v, errors %v", set.Keys(), faults)
	}
	for _, fault := range faults {
		if strings.Contains(fault.Error(), `"d"`) || strings.Contains(fault.Error(), `"k"`) {
			t.Errorf("an error quotes the key: %v", fault)
		}
	}
	if _, _, err := ParsePublicKeySet(fmt.Appendf(nil, `{"keys":[%s]}`, named(testKey(HS256), "secret").JWK())); err == nil {
		t.Error("a set of secrets only is accepted")
	}
}

// TestRSAKeysWithoutAlg checks that an RSA key that names no algorithm is used
// for the configured RSA algorithms only.
func TestRSAKeysWithoutAlg(t *testing.T) {
	public := string(must(named(testKey(RS256), "a").Public()).JWK())
	bare := strings.Replace(public, `"alg":"RS256",`, "", 1)
	if bare == public {
		t.Fatal("the key still has an alg")
	}
	rsaAll := []Algorithm{RS256, RS384, RS512, PS256, PS384, PS512}
	for name, tt := range map[string]struct {
		jwk        string
		algorithms []Algorithm
		good       []Algorithm
	}{
		"no setting":      {bare, nil, []Algorithm{RS256}},
		"one":             {bare, []Algorithm{PS256}, []Algorithm{PS256}},
		"two, one twice":  {bare, []Algorithm{RS512, PS256, RS512, ES256}, []Algorithm{RS512, PS256}},
		"all":             {bare, rsaAll, rsaAll},
		"HMAC":            {bare, []Algorithm{HS256, HS384, HS512}, []Algorithm{RS256}},
		"HMAC and one":    {bare, []Algorithm{HS256, PS384}, []Algorithm{PS384}},
		"none of RSA":     {bare, []Algorithm{ES256, EdDSA}, []Algorithm{RS256}},
		"it names one":    {public, []Algorithm{PS256}, []Algorithm{RS256}},
		"an unknown name": {bare, []Algorithm{"none", "RS1"}, []Algorithm{RS256}},
	} {
		set, faults, err := ParsePublicKeySet(fmt.Appendf(nil, `{"keys":[%s]}`, tt.jwk), tt.algorithms...)
		if err != nil || len(faults) != 0 {
			t.Errorf("%s: got %v, %v, want no errors", name, err, faults)
			continue
		}
		v := newVerifier(t, VerifierConfig{Keys: set})
		for _, alg := range algorithms {
			for _, kid := range []string{`"kid":"a"`, `"x":1`} {
				raw := mint(t, testKey(alg), headerWith(alg, kid), valid(""))
				if _, err := verify(v, raw); (err == nil) != slices.Contains(tt.good, alg) {
					t.Errorf("%s: a token of %s: %v", name, alg, err)
				}
			}
		}
		// A published key is not a secret, even for an HMAC algorithm (J2).
		for _, secret := range [][]byte{[]byte(tt.jwk), sshLine(testKey(RS256)), must(base64url.DecodeString(set.keys[0].members().N))} {
			for _, alg := range []Algorithm{HS256, HS384, HS512} {
				for _, k := range tt.good {
					forger := &Key{alg: k, material: rawHMAC(secret)}
					wantRefused(t, v, mint(t, forger, headerWith(k, `"kid":"a"`), valid("")), ErrSignature)
					wantRefused(t, v, mint(t, forger, headerWith(alg, `"kid":"a"`), valid("")), ErrAlgorithm)
				}
			}
		}
	}
}

// TestTwoAlgorithmsUnderOneKid checks that two keys with the same kid each
// verify their own algorithm only, even if they are one key pair.
func TestTwoAlgorithmsUnderOneKid(t *testing.T) {
	other := must(GenerateKey(PS256))
	set, faults, err := ParsePublicKeySet(fmt.Appendf(nil, `{"keys":[%s,%s]}`,
		must(named(testKey(RS256), "a").Public()).JWK(), must(named(other, "a").Public()).JWK()))
	if err != nil || len(faults) != 0 {
		t.Fatal(err, faults)
	}
	v := newVerifier(t, VerifierConfig{Keys: set})
	wantAccepted(t, v, mint(t, testKey(RS256), headerWith(RS256, `"kid":"a"`), valid("")))
	wantAccepted(t, v, mint(t, other, headerWith(PS256, `"kid":"a"`), valid("")))
	for _, forged := range []struct {
		key *Key
		alg Algorithm // in the header
	}{
		{testKey(RS256), PS256}, {other, RS256}, {testKey(PS256), PS256}, {&Key{alg: RS256, material: &rsaPrivate{
			rsaPublic{suites[RS256], other.material.(*rsaPrivate).key}, other.material.(*rsaPrivate).private,
		}}, RS256},
	} {
		wantRefused(t, v, mint(t, forged.key, headerWith(forged.alg, `"kid":"a"`), valid("")), ErrSignature)
	}
}

// TestEd25519Name checks that Ed25519, the name of RFC 9864 for EdDSA with an
// Ed25519 key, is accepted in a JWK, a header and a configuration.
func TestEd25519Name(t *testing.T) {
	key := must(NewKey(Ed25519, testKey(EdDSA).material.(*ed25519Private).private, KeyOptions{ID: "a"}))
	if key.Algorithm() != EdDSA {
		t.Errorf("its algorithm is %s", key.Algorithm())
	}
	jwk := must(key.Public()).JWK()
	again := must(ParseJWK([]byte(strings.Replace(string(jwk), `"EdDSA"`, `"Ed25519"`, 1)), KeyOptions{}))
	if must(ParseJWK(jwk, KeyOptions{Algorithm: Ed25519})).Algorithm() != EdDSA || !again.equal(must(key.Public())) {
		t.Error("the JWK is another key")
	}
	for _, allowed := range [][]Algorithm{nil, {EdDSA}, {Ed25519}} {
		v := newVerifier(t, VerifierConfig{Algorithms: allowed}, again)
		for _, name := range []Algorithm{EdDSA, Ed25519} {
			wantAccepted(t, v, mint(t, key, headerWith(name, `"kid":"a"`), valid("")))
		}
		for _, name := range []Algorithm{"Ed448", "ed25519", "ED25519"} {
			wantRefused(t, v, mint(t, key, headerWith(name, `"kid":"a"`), valid("")), ErrAlgorithm)
		}
	}
	if _, err := ParseJWK([]byte(strings.Replace(string(jwk), `"EdDSA"`, `"Ed448"`, 1)), KeyOptions{}); err == nil {
		t.Error("Ed448 is known")
	}
	if _, err := ParseJWK([]byte(strings.Replace(string(jwk), `"EdDSA"`, `"Ed25519"`, 1)), KeyOptions{Algorithm: ES256}); err == nil {
		t.Error("an Ed25519 key for ES256")
	}
}
