package token

import (
	"fmt"
	"strings"
	"testing"
)

// Of a published set one bad key does not spoil the others, be it a secret.
func TestParsePublicKeySet(t *testing.T) {
	public := func(alg Algorithm, id string) string {
		return string(must(named(testKey(alg), id).Public()).JWK())
	}
	keys := []string{public(RS256, "good"), `{"kty":"EC"}`, string(named(testKey(ES256), "private").JWK()), string(named(testKey(HS256), "secret").JWK()), `1`}
	for range 9 {
		keys = append(keys, public(EdDSA, ""))
	}
	set, faults, err := ParsePublicKeySet(fmt.Appendf(nil, `{"keys":[%s]}`, strings.Join(keys, ",")))
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Keys()) != 8 || set.Keys()[0].ID() != "good" || len(faults) != 6 {
		t.Errorf("%v, faults %v", set.Keys(), faults)
	}
	for _, fault := range faults {
		if strings.Contains(fault.Error(), `"d"`) || strings.Contains(fault.Error(), `"k"`) {
			t.Errorf("a fault quotes the key: %v", fault)
		}
	}
	if _, _, err := ParsePublicKeySet(fmt.Appendf(nil, `{"keys":[%s]}`, named(testKey(HS256), "secret").JWK())); err == nil {
		t.Error("a set of secrets alone is a set")
	}
}
