package store

import (
	"context"
	"crypto/sha256"
	"time"
)

// MaxTicketValue is the length in bytes of the longest value that a ticket
// can stand for. It has room for the claims of a token of 32 KiB, which are
// stored as their issuer signed them and as they were read.
const MaxTicketValue = 128 << 10

// A TicketKey is the name under which a store keeps a ticket: the SHA-256 of
// its text, so that whoever reads the store cannot use what it holds.
type TicketKey [sha256.Size]byte

// Tickets keeps values that can be taken once. It is safe for concurrent use.
// Methods return soon after ctx is done, with its error; a ticket may then have
// been put or taken nevertheless, as after any error that is none of this
// package's.
type Tickets interface {
	// PutTicket keeps a value until it is taken or it expires. A key that is
	// there already is [ErrInvalid], as is a value longer than
	// [MaxTicketValue]; a store that holds as many tickets as it may returns
	// [ErrFull]. It is no error when the ticket has expired already.
	PutTicket(ctx context.Context, key TicketKey, value []byte, expires time.Time) error

	// TakeTicket returns a value and forgets it, in one step: of any number
	// of calls, on any node and whatever is killed meanwhile, one at most
	// gets it. The others, and who comes after it has expired, get
	// [ErrNotFound].
	TakeTicket(ctx context.Context, key TicketKey) ([]byte, error)
}
