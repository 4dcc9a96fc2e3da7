package token

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxTries bounds the signature checks that one token can cause.
	maxTries = 8

	maxKeys        = 256
	maxKeySetBytes = 1 << 20
)

// KeySet holds the keys that a verifier trusts. It is immutable and safe for
// concurrent use.
//
// The kid of a token selects the key with that ID, and the keys without an ID;
// a token without a kid is tried with the first 8 keys. Only keys bound to the
// alg of the token are ever used.
type KeySet struct {
	keys       []*Key
	algorithms []Algorithm // of the keys, each once
	mixed      bool        // HMAC and asymmetric: only the kid selects
}

// NewKeySet refuses an empty set, two keys with the same non-empty ID, more
// than 7 keys without one, more than 256 keys, and a set that mixes HMAC with
// asymmetric keys unless every key has an ID: with such a set, a token must
// name its key.
func NewKeySet(keys ...*Key) (*KeySet, error) {
	if len(keys) == 0 {
		return nil, errors.New("token: key set: empty")
	}
	if len(keys) > maxKeys {
		return nil, fmt.Errorf("token: key set: more than %d keys", maxKeys)
	}
	seen := make(map[string]bool, len(keys))
	secrets, nameless := 0, 0
	for _, k := range keys {
		switch {
		case k == nil || k.material == nil:
			return nil, errors.New("token: key set: a key is nil")
		case k.id == "":
			nameless++
		case seen[k.id]:
			return nil, fmt.Errorf("token: key set: two keys with the ID %q", k.id)
		}
		seen[k.id] = true
		if k.public() == nil {
			secrets++
		}
	}
	mixed := secrets > 0 && secrets < len(keys)
	if mixed && nameless > 0 {
		return nil, errors.New("token: key set: HMAC and asymmetric keys together need IDs")
	}
	if nameless >= maxTries { // leaves one try for the key that a kid names
		return nil, fmt.Errorf("token: key set: more than %d keys without an ID", maxTries-1)
	}
	return &KeySet{keys: slices.Clone(keys), algorithms: algorithmsOf(keys), mixed: mixed}, nil
}

// ParseKeySet reads a JWK Set (RFC 7517 §5) of at most 1 MiB. A key that cannot
// be used does not fail the set: it is skipped, and its fault is in the second
// result. Keys that share an ID are all skipped, for nobody can say which one
// is meant. The third result is for data that is no JWK Set, has no usable key,
// or mixes HMAC secrets with keys for the public.
func ParseKeySet(data []byte) (*KeySet, []error, error) { return parseKeySet(data, false) }

// ParsePublicKeySet is ParseKeySet for a set that was published: a key that can
// sign, which is a secret that all the world has read, is one that cannot be
// used, and so are keys without an ID beyond the seventh.
func ParsePublicKeySet(data []byte) (*KeySet, []error, error) { return parseKeySet(data, true) }

func parseKeySet(data []byte, published bool) (*KeySet, []error, error) {
	if len(data) > maxKeySetBytes {
		return nil, nil, errors.New("token: key set: longer than 1 MiB")
	}
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil || set.Keys == nil {
		// The cause is not passed on: it might quote private material.
		return nil, nil, errors.New("token: key set: not a JWK Set in strict JSON")
	}
	if len(set.Keys) > maxKeys {
		return nil, nil, fmt.Errorf("token: key set: more than %d keys", maxKeys)
	}
	var (
		keys   []*Key
		faults []error
		sharer = make(map[string]int)
	)
	for i, raw := range set.Keys {
		key, err := ParseJWK(raw, KeyOptions{})
		if err == nil && published {
			err = publishedFault(key, sharer[""])
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("key %d: %w", i, err))
			continue
		}
		keys = append(keys, key)
		sharer[key.id]++
	}
	keys = slices.DeleteFunc(keys, func(k *Key) bool { return k.id != "" && sharer[k.id] > 1 })
	for id, n := range sharer {
		if id != "" && n > 1 {
			faults = append(faults, fmt.Errorf("token: key set: %d keys with the ID %q", n, id))
		}
	}
	s, err := NewKeySet(keys...)
	if err != nil {
		return nil, faults, err
	}
	if s.mixed {
		return nil, faults, errors.New("token: key set: HMAC secrets among keys for the public")
	}
	return s, faults, nil
}

func publishedFault(key *Key, nameless int) error {
	switch {
	case key.CanSign():
		return errors.New("token: key set: a secret is published; whoever made it should take it back")
	case key.id == "" && nameless == maxTries-1:
		return fmt.Errorf("token: key set: more than %d keys without an ID", maxTries-1)
	}
	return nil
}

// Keys returns the keys, in the order in which they were given.
func (s *KeySet) Keys() []*Key { return slices.Clone(s.keys) }

// PublicJWKS returns the JWK Set to publish: the public halves of all
// asymmetric keys. HMAC keys are left out.
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

// verify returns the key of the set that made the signature of j, or nil.
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
