package store

import "errors"

// A Store is all that a server keeps.
type Store interface {
	Revocations
	Tickets
	Families
}

// What stores answer with, besides the errors of single methods and of
// contexts. Any other error is a failure of the store.
var (
	// ErrInvalid: the store cannot keep what it was given, and never could.
	ErrInvalid = errors.New("store: invalid")

	// ErrNotFound: the store has nothing under that name, or not any more.
	ErrNotFound = errors.New("store: not found")

	// ErrFull: the store holds as much of that kind as it may. It never
	// forgets what still matters to make room.
	ErrFull = errors.New("store: full")

	// ErrClosed: the store was closed.
	ErrClosed = errors.New("store: closed")
)
