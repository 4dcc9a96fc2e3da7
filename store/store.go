package store

import "errors"

// A Store is everything that a server stores.
type Store interface {
	Revocations
	Tickets
	Sessions
}

// Errors of stores, besides those of single methods and of contexts. Any other
// error is a failure of the store.
var (
	// ErrInvalid means that the arguments are not valid for any store.
	ErrInvalid = errors.New("store: invalid")

	// ErrNotFound means that the item does not exist, or no longer exists.
	ErrNotFound = errors.New("store: not found")

	// ErrFull means that a limit of the store is reached. A store never drops
	// current items to make room.
	ErrFull = errors.New("store: full")

	// ErrClosed means that the store has been closed.
	ErrClosed = errors.New("store: closed")
)

// Default limits.
const (
	DefaultRevocationLimit = 1_000_000
	DefaultTicketLimit     = 100_000 // with a lifetime of 30 s: 3,333 per second
	DefaultSessionLimit    = 1_000_000
)

// Limits are the maximum numbers of items in a store. When a limit is reached,
// the store returns [ErrFull]. Values of 0 or less mean the default.
type Limits struct {
	// Revocations counts those that are not [Revocation.Obsolete], except one
	// of [TargetAll]. Default: [DefaultRevocationLimit].
	Revocations int

	// Tickets counts those that were not taken and have not expired. Default:
	// [DefaultTicketLimit].
	Tickets int

	// Sessions counts those that have neither ended nor expired. Default:
	// [DefaultSessionLimit].
	Sessions int
}

// maxID is the maximum length in bytes of a name in a token.
const maxID = 256
