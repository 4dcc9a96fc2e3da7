package store

import (
	"context"
	"crypto/sha256"
	"time"
)

// MaxTicketValue is the maximum length of a ticket's value in bytes. It is
// large enough for the claims of a token of 32 KiB, which are stored twice: as
// they were signed and as they were parsed.
const MaxTicketValue = 128 << 10

// A TicketKey is the key of a ticket in a store: the SHA-256 of the ticket. So
// an attacker who can read the store cannot use the tickets.
type TicketKey [sha256.Size]byte

// Tickets stores values that can be taken once. Implementations must be safe
// for concurrent use. Methods return soon after ctx is done, with its error.
// After such an error, or any other that is not defined in this package, the
// ticket may or may not have been put or taken.
type Tickets interface {
	// PutTicket stores a value until it is taken or expires. It returns
	// [ErrInvalid] if the key exists or the value is longer than
	// [MaxTicketValue], and [ErrFull] if the store has reached its limit. An
	// expired ticket is not stored; this is not an error.
	PutTicket(ctx context.Context, key TicketKey, value []byte, expires time.Time) error

	// TakeTicket atomically removes a value and returns it. Of any number of
	// concurrent calls, on any nodes and even across crashes, at most one gets
	// the value. If the ticket does not exist or has been taken or has expired,
	// the error is [ErrNotFound].
	TakeTicket(ctx context.Context, key TicketKey) ([]byte, error)
}
