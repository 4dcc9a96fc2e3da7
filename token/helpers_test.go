package token

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// algorithms lists all supported algorithms in a fixed order.
var algorithms = []Algorithm{HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA}

var testRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, minRSABits)) })

// testKeys returns one key without an ID for each algorithm, made once.
var testKeys = sync.OnceValue(func() map[Algorithm]*Key {
	keys := make(map[Algorithm]*Key)
	for _, alg := range algorithms {
		var key *Key
		var err error
		if suites[alg].family == familyRSA {
			key, err = NewKey(alg, testRSA(), KeyOptions{})
		} else {
			key, err = GenerateKey(alg)
		}
		if err != nil {
			panic(err)
		}
		key.id = ""
		keys[alg] = key
	}
	return keys
})

func testKey(alg Algorithm) *Key { return testKeys()[alg] }

// named returns the same key with an ID.
func named(k *Key, id string) *Key { return &Key{id: id, alg: k.alg, material: k.material} }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newVerifier(t testing.TB, c VerifierConfig, keys ...*Key) *Verifier {
	t.Helper()
	if c.Keys == nil {
		set, err := NewKeySet(keys...)
		if err != nil {
			t.Fatal(err)
		}
		c.Keys = set
	}
	v, err := NewVerifier(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// mint signs any header and payload, even if an Issuer would refuse them.
func mint(t testing.TB, key *Key, header, payload string) string {
	t.Helper()
	return mintSegments(t, key, encode([]byte(header)), encode([]byte(payload)))
}

func mintSegments(t testing.TB, key *Key, header, payload string) string {
	t.Helper()
	signed := header + "." + payload
	signature, err := key.sign([]byte(signed))
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + encode(signature)
}

func headerOf(alg Algorithm) string { return `{"alg":"` + string(alg) + `","typ":"JWT"}` }

// soon returns a date in the near future, as JSON.
func soon() string { return strconv.FormatInt(time.Now().Unix()+600, 10) }

// valid returns a payload that every default verifier accepts, with additional
// members.
func valid(more string) string { return `{"sub":"alice","exp":` + soon() + more + `}` }

// verifyJWS verifies raw as a JWS (RFC 7515). It does not check the claims.
func verifyJWS(set *KeySet, raw string) ([]byte, bool) {
	s := &scratch{object: newObjectReader()}
	j, err := s.readJWS(raw, limitMaxBytes)
	if err != nil || !slices.Contains(set.algorithms, j.alg) || set.verify(j) == nil {
		return nil, false
	}
	return j.payload, true
}

func verify(v *Verifier, raw string) (*Claims, error) { return v.Verify(context.Background(), raw) }

// allocatedBytes returns the average number of bytes that a run of f allocates.
func allocatedBytes(runs int, f func()) uint64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	f()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / uint64(runs)
}
