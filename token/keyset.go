package token

// KeySet holds the keys that a verifier trusts. It is immutable and safe for
// concurrent use.
type KeySet struct {
	keys []*Key
}

// NewKeySet refuses an empty set, two keys with the same non-empty ID, and a
// set that mixes HMAC with asymmetric keys unless every key has an ID: there
// the kid of a token must name its key, so that nothing is left to alg.
func NewKeySet(keys ...*Key) (*KeySet, error) { return nil, errTODO }

// ParseKeySet reads a JWK Set (RFC 7517 §5). A key that cannot be used does
// not fail the set: it is skipped, and its fault is in the second result. The
// third is for data that is no JWK Set or has no usable key.
func ParseKeySet(data []byte) (*KeySet, []error, error) { return nil, nil, errTODO }

// Keys returns the keys, in the order in which they were given.
func (s *KeySet) Keys() []*Key { return nil }

// PublicJWKS returns the JWK Set to publish: the public halves of all
// asymmetric keys. HMAC keys are left out.
func (s *KeySet) PublicJWKS() []byte { return nil }
