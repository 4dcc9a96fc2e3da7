package token

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxTries is the maximum number of signature checks per token.
	maxTries = 8

	maxKeys        = 256
	maxKeySetBytes = 1 << 20
)

// KeySet holds the keys that a verifier trusts. It is immutable and safe for
// concurrent use.
//
// The kid of a token selects the keys with that ID and the keys without an ID.
// A token without a kid is tried with the first 8 keys. Only keys bound to the
// alg of the token are used, so of several keys with the same ID at most one
// applies.
type KeySet struct {
	keys       []*Key
	algorithms []Algorithm // the distinct algorithms of keys
	mixed      bool        // has HMAC and asymmetric keys: a kid is required
}

// NewKeySet returns a set of the given keys. It refuses:
//
//   - an empty set, or more than 256 keys;
//   - two keys with the same non-empty ID, if they have the same algorithm or
//     one of them is an HMAC secret;
//   - more than 7 keys of one algorithm without an ID;
//   - HMAC and asymmetric keys together, unless every key has an ID. With such
//     a set, a token must name its key.
func NewKeySet(keys ...*Key) (*KeySet, error) {
	if len(keys) > maxKeys {
		return nil, fmt.Errorf("token: key set: more than %d keys", maxKeys)
	}
	return newKeySet(keys)
}

// newKeySet is NewKeySet without the limit of 256 keys.
func newKeySet(keys []*Key) (*KeySet, error) {
	if len(keys) == 0 {
		return nil, errors.New("token: key set: empty")
	}
	seen := make(map[slot]bool, len(keys))
	secret := make(map[string]bool, len(keys)) // by ID
	nameless := make(map[Algorithm]int)
	secrets := 0
	for _, k := range keys {
		if k == nil || k.material == nil {
			return nil, errors.New("token: key set: a key is nil")
		}
		isSecret := k.public() == nil
		other, taken := secret[k.id]
		switch {
		case k.id == "":
			nameless[k.alg]++
		case seen[k.slot()], taken && other != isSecret:
			return nil, fmt.Errorf("token: key set: two keys with the ID %q", k.id)
		}
		seen[k.slot()], secret[k.id] = true, isSecret
		if isSecret {
			secrets++
		}
	}
	mixed := secrets > 0 && secrets < len(keys)
	if mixed && len(nameless) > 0 {
		return nil, errors.New("token: key set: HMAC and asymmetric keys together need IDs")
	}
	for _, n := range nameless {
		if n >= maxTries { // one try is left for the key that a kid names
			return nil, errNameless
		}
	}
	return &KeySet{keys: slices.Clone(keys), algorithms: algorithmsOf(keys), mixed: mixed}, nil
}

var errNameless = fmt.Errorf("token: key set: more than %d keys without an ID", maxTries-1)

// A slot identifies a key as a token does, by ID and algorithm.
type slot struct {
	id  string
	alg Algorithm
}

func (k *Key) slot() slot { return slot{k.id, k.alg} }

// ParseKeySet parses a JWK Set (RFC 7517 section 5) of at most 1 MiB.
//
// Unusable keys do not fail the set: they are skipped, and reported in the
// second result. Duplicates of a key are ignored. Different keys with the same
// ID and algorithm are all skipped, because it is unknown which one is meant.
//
// The error is non-nil if data is not a JWK Set, has no usable key, or mixes
// HMAC secrets with public keys.
func ParseKeySet(data []byte) (*KeySet, []error, error) { return parseKeySet(data, false, nil) }

// ParsePublicKeySet is ParseKeySet for a published set. Keys that can sign are
// unusable, because their secret has been published. Of the keys without an
// ID, only the first seven of each algorithm are usable.
//
// An RSA key without "alg" is used for each RSA algorithm in algorithms, or
// for RS256 if there is none. A JWK with an "alg" is used for that algorithm
// only (RFC 7517 section 4.4).
func ParsePublicKeySet(data []byte, algorithms ...Algorithm) (*KeySet, []error, error) {
	return parseKeySet(data, true, algorithms)
}

func parseKeySet(data []byte, published bool, algorithms []Algorithm) (*KeySet, []error, error) {
	if len(data) > maxKeySetBytes {
		return nil, nil, errors.New("token: key set: longer than 1 MiB")
	}
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil || set.Keys == nil {
		// The cause is not wrapped: it might quote private material.
		return nil, nil, errors.New("token: key set: not a JWK Set in strict JSON")
	}
	if len(set.Keys) > maxKeys {
		return nil, nil, fmt.Errorf("token: key set: more than %d keys", maxKeys)
	}
	c := collection{published: published, equivalent: map[slot][]*Key{}}
	for i, raw := range set.Keys {
		keys, err := parseKeys(raw, algorithms)
		for _, key := range keys {
			err = errors.Join(err, c.add(key))
		}
		if err != nil {
			c.faults = append(c.faults, fmt.Errorf("key %d: %w", i, err))
		}
	}
	c.dropAmbiguous()
	s, err := newKeySet(c.keys)
	if err != nil {
		return nil, c.faults, err
	}
	if s.mixed {
		return nil, c.faults, errors.New("token: key set: HMAC secrets among public keys")
	}
	return s, c.faults, nil
}

// parseKeys parses a JWK of a set. It returns one key or, for an RSA key
// without "alg", one for each RSA algorithm in algorithms.
func parseKeys(data []byte, algorithms []Algorithm) ([]*Key, error) {
	j, err := readJWK(data)
	if err != nil {
		return nil, err
	}
	var applicable []Algorithm
	if j.Kty == familyRSA && j.Alg == "" {
		for _, a := range algorithms {
			if suites[a].family == familyRSA && !slices.Contains(applicable, a) {
				applicable = append(applicable, a)
			}
		}
	}
	if len(applicable) == 0 {
		applicable = []Algorithm{""} // the JWK or its type determines it
	}
	var keys []*Key
	for _, a := range applicable {
		key, err := j.key(KeyOptions{Algorithm: a})
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// A collection accumulates the keys and errors of a JWK Set.
type collection struct {
	published  bool
	keys       []*Key
	equivalent map[slot][]*Key // keys that a token cannot distinguish
	faults     []error
}

// add adds key unless it is a duplicate or unusable.
func (c *collection) add(key *Key) error {
	equivalent := c.equivalent[key.slot()]
	switch {
	case slices.ContainsFunc(equivalent, key.equal):
		return nil
	case c.published && key.CanSign():
		return errors.New("token: key set: a secret is published; its owner should replace it")
	case c.published && key.id == "" && len(equivalent) == maxTries-1:
		return errNameless
	}
	c.equivalent[key.slot()] = append(equivalent, key)
	c.keys = append(c.keys, key)
	return nil
}

// dropAmbiguous removes different keys that share an ID and an algorithm.
func (c *collection) dropAmbiguous() {
	c.keys = slices.DeleteFunc(c.keys, func(k *Key) bool { return k.id != "" && len(c.equivalent[k.slot()]) > 1 })
	for of, keys := range c.equivalent {
		if of.id != "" && len(keys) > 1 {
			c.faults = append(c.faults, fmt.Errorf("token: key set: %d keys for %s with the ID %q", len(keys), of.alg, of.id))
		}
	}
}

// equal reports whether other has the same material.
func (k *Key) equal(other *Key) bool {
	return bytes.Equal(mustMarshal(k.members()), mustMarshal(other.members()))
}

// Keys returns the keys in the order in which they were given.
func (s *KeySet) Keys() []*Key { return slices.Clone(s.keys) }

// PublicJWKS returns a JWK Set for publication: the public halves of all
// asymmetric keys, without the HMAC keys.
func (s *KeySet) PublicJWKS() []byte {
	set := struct {
		Keys []jsontext.Value `json:"keys"`
	}{Keys: []jsontext.Value{}}
	for _, k := range s.keys {
		if public, err := k.Public(); err == nil {
			set.Keys = append(set.Keys, public.JWK())
		}
	}
	return mustMarshal(set)
}

func algorithmsOf(keys []*Key) []Algorithm {
	var algorithms []Algorithm
	for _, k := range keys {
		if !slices.Contains(algorithms, k.alg) {
			algorithms = append(algorithms, k.alg)
		}
	}
	return algorithms
}

// verify returns the key of the set that signed j, or nil.
func (s *KeySet) verify(j *jws) *Key {
	if s.mixed && !j.hasKid {
		return nil
	}
	tries := 0
	for _, k := range s.keys {
		if k.alg != j.alg {
			continue
		}
		if j.hasKid && k.id != "" && k.id != string(j.kid) {
			continue
		}
		if k.material.verify(j.signed, j.signature) {
			return k
		}
		if tries++; tries == maxTries {
			return nil
		}
	}
	return nil
}
