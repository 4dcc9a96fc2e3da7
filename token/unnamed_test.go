package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"math/big"
	"strings"
	"testing"
)

// twinOf returns raw with the other valid ECDSA signature, (r, n−s).
func twinOf(t *testing.T, raw string) string {
	t.Helper()
	dot := strings.LastIndexByte(raw, '.')
	signature := must(base64url.DecodeString(raw[dot+1:]))
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(signature[32:])
	twin := raw[:dot+1] + encode(signature)
	if twin == raw {
		t.Fatal("no other signature")
	}
	return twin
}

// TestJ18_TokenWithoutJTI checks that a token without a jti gets an ID that is
// the same for each of its signatures, and different for every other token.
func TestJ18_TokenWithoutJTI(t *testing.T) {
	key := must(NewKey(ES256, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), KeyOptions{ID: "k"}))
	v := newVerifier(t, VerifierConfig{}, key)
	raw := mint(t, key, headerOf(ES256), valid(""))
	c := must(verify(v, raw))
	sum := sha256.Sum256([]byte(raw[:strings.LastIndexByte(raw, '.')]))
	if c.ID != unnamedPrefix+encode(sum[:]) {
		t.Errorf("got ID %q", c.ID)
	}
	for range 2 { // verified, then remembered
		if twin := must(verify(v, twinOf(t, raw))); twin.ID != c.ID {
			t.Errorf("the twin has ID %q", twin.ID)
		}
	}
	for name, other := range map[string]string{
		"another payload": mint(t, key, headerOf(ES256), valid(`,"x":1`)),
		"another header":  mint(t, key, `{"alg":"ES256","typ":"JWT","x":1}`, valid("")),
	} {
		if must(verify(v, other)).ID == c.ID {
			t.Errorf("%s has the same ID", name)
		}
	}
	if strings.Contains(string(c.Payload()), "jti") {
		t.Errorf("the payload has a jti: %s", c.Payload())
	}
	stored := new(Claims)
	if err := stored.UnmarshalBinary(must(c.MarshalBinary())); err != nil || stored.ID != c.ID {
		t.Errorf("stored: %q, %v", stored.ID, err)
	}
	spaced := newVerifier(t, VerifierConfig{Namespace: "kc"}, key)
	if of := must(verify(spaced, raw)); of.ID != "kc|"+c.ID || strings.Contains(string(of.Payload()), "jti") {
		t.Errorf("with a namespace: ID %q, payload %s", of.ID, of.Payload())
	}
}

// TestJTIThatLooksUnnamed checks that no issuer can give a token the ID of
// another.
func TestJTIThatLooksUnnamed(t *testing.T) {
	key := testKey(HS256)
	unnamed := mint(t, key, headerOf(HS256), valid(""))
	for name, v := range map[string]*Verifier{
		"plain": newVerifier(t, VerifierConfig{}, key), "with a namespace": newVerifier(t, VerifierConfig{Namespace: "kc"}, key),
	} {
		id := strings.TrimPrefix(must(verify(v, unnamed)).ID, "kc|")
		raw := mint(t, key, headerOf(HS256), valid(`,"jti":"`+id+`"`))
		if c, err := verify(v, raw); !errors.Is(err, ErrClaims) {
			t.Errorf("%s: got %v, %v, want %v", name, c, err, ErrClaims)
		}
		if faults := v.Explain(t.Context(), raw); len(faults) != 1 || !errors.Is(faults[0], ErrClaims) {
			t.Errorf("%s: explained as %v", name, faults)
		}
		if c, err := verify(v, mint(t, key, headerOf(HS256), valid(`,"jti":"Unnamed"`))); err != nil || !strings.HasSuffix(c.ID, "Unnamed") {
			t.Errorf("%s: another jti: %v, %v", name, c, err)
		}
	}
	if _, err := must(NewIssuer(IssuerConfig{Key: key})).Access("ada", Options{ID: unnamedPrefix + "x"}); err == nil {
		t.Error("a token of that name was issued")
	}
}
