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
