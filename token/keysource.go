package token

import (
	"context"
	"errors"
	"time"
)

// A KeySource knows the keys that may have signed a token, as they are now. A
// [*KeySet] is one that never changes. It is safe for concurrent use.
type KeySource interface {
	// KeySet returns the keys that count now; the same pointer for as long
	// as they stay the same. kid is the one that a token names, "" for none:
	// a source that fetches its keys may look for it, in a bounded time and
	// not for every such token. That there is no such key is no error. An
	// error says that nobody can know now whether there is.
	KeySet(ctx context.Context, kid string) (*KeySet, error)
}

// An AgingKeySource is a [KeySource] whose keys were fetched some time ago, so
// that a token may have been signed with one that was published since.
type AgingKeySource interface {
	KeySource

	// KeySetSoon is KeySet for a request: it waits at most about 2 s, and
	// then returns the keys that there are.
	KeySetSoon(ctx context.Context, kid string) (*KeySet, error)

	// MayMiss reports whether a key named kid, which the keys have not, may
	// have been published since they were fetched: a token that says it was
	// issued then by a clock that is wrong by at most leeway may be good. kid
	// is "" for a token that names none and that no key has signed: then the
	// source fetches its keys again, if it may.
	MayMiss(kid string, issued time.Time, leeway time.Duration) bool
}

// A Signer chooses the key that signs a token now. A [*Key] chooses itself, and
// a [*KeySet] its first key that can sign. It is safe for concurrent use.
type Signer interface {
	SigningKey() (*Key, error)
}

var errNoSigner = errors.New("token: no key that can sign")

// SigningKey returns k, which must be able to sign.
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
