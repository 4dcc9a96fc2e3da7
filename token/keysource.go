package token

import (
	"context"
	"errors"
	"time"
)

// A KeySource provides the current keys that may have signed a token. A
// [*KeySet] is a KeySource that never changes. Implementations must be safe
// for concurrent use.
type KeySource interface {
	// KeySet returns the current keys. It returns the same pointer while they do
	// not change. kid is the key ID of a token, or "" if it has none: a source
	// that fetches its keys may look for a missing one, within a bounded time and
	// not for every such token. A missing key is not an error. An error means that
	// the keys are unknown.
	KeySet(ctx context.Context, kid string) (*KeySet, error)
}

// An AgingKeySource is a [KeySource] whose keys were fetched some time ago, so
// a token may be signed with a key that was published since.
type AgingKeySource interface {
	KeySource

	// KeySetSoon is KeySet for use in a request: it waits at most about 2 s,
	// then returns the keys that it has.
	KeySetSoon(ctx context.Context, kid string) (*KeySet, error)

	// MayMiss reports whether a key named kid, which is not in the set, may
	// have been published since the keys were fetched. The token that needs the
	// key was issued at the time issued, by a clock that is wrong by at most
	// leeway. kid is "" if the token names no key and no known key has signed
	// it; then the source fetches its keys again, if its rate limit allows it.
	MayMiss(kid string, issued time.Time, leeway time.Duration) bool
}

// A Signer chooses the key that signs the next token. A [*Key] chooses itself,
// a [*KeySet] its first key that can sign. Implementations must be safe for
// concurrent use.
type Signer interface {
	SigningKey() (*Key, error)
}

var errNoSigner = errors.New("token: no key that can sign")

// SigningKey returns k, or an error if k cannot sign.
func (k *Key) SigningKey() (*Key, error) {
	if k == nil || !k.CanSign() {
		return nil, errNoSigner
	}
	return k, nil
}

// SigningKey returns the first key of the set that can sign.
func (s *KeySet) SigningKey() (*Key, error) {
	for _, k := range s.keys {
		if k.CanSign() {
			return k, nil
		}
	}
	return nil, errNoSigner
}

// KeySet returns s.
func (s *KeySet) KeySet(context.Context, string) (*KeySet, error) { return s, nil }
