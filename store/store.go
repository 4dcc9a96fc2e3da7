package store

import (
	"context"
	"errors"
	"time"
)

// A Store stores everything that a server needs to keep. A store that several
// nodes share is a [Cluster].
type Store interface {
	Revocations
	Tickets
	Sessions
}

// A Clock is the clock of a store. All nodes use it for times that they
// compare: in sids, in [Revocation.Before], for rotations and for leases. So
// it does not matter whether their own clocks agree.
type Clock interface {
	// Now returns the time. For a store within the process it is [time.Now].
	Now(context.Context) (time.Time, error)
}

// Errors of stores, in addition to those of single methods and of contexts. Any
// other error is a failure of the store.
var (
	// ErrInvalid means that the arguments are not valid for any store.
	ErrInvalid = errors.New("store: invalid")

	// ErrNotFound means that the item does not exist, or no longer exists.
	ErrNotFound = errors.New("store: not found")

	// ErrFull means that the store has reached a limit. A store never drops
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
	DefaultEventLimit      = 100_000
)

// Limits are the maximum numbers of items in a store. When a limit is reached,
// the store returns [ErrFull]. Values of 0 or less mean the default.
type Limits struct {
	// Revocations is the maximum number of those that are not
	// [Revocation.Obsolete]. A revocation of [TargetAll] is not counted.
	// Default: [DefaultRevocationLimit].
	Revocations int

	// Tickets is the maximum number of those that were not taken and have not
	// expired. Default: [DefaultTicketLimit].
	Tickets int

	// Sessions is the maximum number of those that have neither ended nor
	// expired. Default: [DefaultSessionLimit].
	Sessions int

	// Events is the maximum number of those in a [Log] that have neither
	// expired nor been replaced. Default: [DefaultEventLimit].
	Events int
}

// maxID is the maximum length of a jti, sid or sub in bytes.
const maxID = 256
