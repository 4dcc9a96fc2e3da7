package store

import (
	"context"
	"errors"
	"strings"
	"time"
)

// MaxPage is the maximum number of entries in one call of Revoke or Publish, or
// in one result of Read.
const MaxPage = 1000

// ErrCursor means that a cursor belongs to another log, or to a state of this
// log that was lost. Read again from the zero Cursor.
var ErrCursor = errors.New("store: unknown cursor")

// ErrNotDurable means that revocations are in effect on this node only, because
// writing them to the log failed. The node refuses the revoked tokens, and
// keeps trying to write the revocations until its process ends. The error also
// wraps the reason. Nodes return it, logs do not.
var ErrNotDurable = errors.New("store: revoked on this node only, and not yet stored")

// ErrUnconfirmed means that a change is in effect on all nodes, but no replica
// of the store has confirmed it in time. The change is lost if a replica that
// lacks it replaces the primary. The error also wraps the reason. Only
// replicated stores return it.
var ErrUnconfirmed = errors.New("store: accepted, but not confirmed by a replica")

// InEffect reports whether a revocation that returned err is in effect, at
// least on this node: err is nil, [ErrUnconfirmed] or [ErrNotDurable].
func InEffect(err error) bool {
	return err == nil || errors.Is(err, ErrUnconfirmed) || errors.Is(err, ErrNotDurable)
}

// Revocations is a log of revocations with any number of readers.
// Implementations must be safe for concurrent use. Methods return soon after
// ctx is done, with its error.
type Revocations interface {
	// Revoke atomically adds all of the revocations. When it returns nil, they
	// are as durable as the store can make them, and visible to readers. If a
	// revocation is not valid, or there are more than MaxPage, it returns
	// [ErrInvalid]. If the log has reached its limit of current entries, it
	// returns [ErrFull], but still accepts a revocation of [TargetAll]. With
	// [ErrUnconfirmed], the revocations are visible to readers.
	//
	// The following are not errors. If the log already has a revocation with
	// the same target and ID, the two are merged: the later Before, the later
	// Expires and the higher Generation apply. Readers see the revocation again
	// only if it has changed. A revocation is ignored if it is
	// [Revocation.Obsolete], or if a revocation of TargetAll in the log or in
	// the same call [Revocation.Covers] it. The list may be empty.
	//
	// After an error that is not defined in this package, such as that of ctx,
	// either all or none of the revocations have been added. It is safe to
	// repeat the call.
	Revoke(context.Context, ...Revocation) error

	// Read returns the entries after a cursor, oldest first, at most MaxPage.
	// It omits revocations that are obsolete, replaced by a later one or
	// covered by one of TargetAll, and events that have expired or were
	// replaced. The zero Cursor is the beginning of the log. If the cursor is
	// not a position in this log, the error is [ErrCursor].
	Read(ctx context.Context, after Cursor) (Page, error)

	// Wait blocks until the log has entries after the given cursor, which must
	// be one that Read returned. If the log already has such entries, Wait
	// returns immediately. Its errors are those of Read.
	Wait(ctx context.Context, after Cursor) error
}

// An Overfiller is a durable log that can exceed its limit. Implementing it is
// optional. Before its process ends, a node uses it to write the revocations
// that a full log refused. Otherwise they would be lost: raising the limit
// often requires a restart.
type Overfiller interface {
	// Overfill is like Revoke, but ignores the limit: it never returns
	// [ErrFull].
	Overfill(context.Context, ...Revocation) error
}

// Usage describes how full a log of revocations is.
type Usage struct {
	Entries int
	Limit   int // 0: no limit

	// ReadOnly means that the log cannot be written to, for example because
	// its disk is full.
	ReadOnly bool
}

// Full reports whether the log accepts only revocations of [TargetAll].
func (u Usage) Full() bool { return u.Limit > 0 && u.Entries >= u.Limit }

// A UsageReporter is a log that reports its usage. Implementing it is optional.
// A node calls it about once a second, and logs a warning before the log is
// full.
type UsageReporter interface {
	RevocationUsage(context.Context) (Usage, error)
}

// A Cursor is a position in a log. It is comparable. It is valid only for the
// log that returned it.
type Cursor struct {
	// Epoch identifies the log, and changes if entries may have been lost. For
	// a replicated store, it is the ID of the log, a dot, and the ID of the
	// history of this copy. A failover changes the latter. The nodes still have
	// in memory the entries that the new primary lacks, and add them again.
	Epoch    string
	Sequence uint64 // sequence number of the last entry before the position
}

// LogID returns the part of Epoch that a failover does not change. Another ID
// means another log, such as that of an empty store or of another database.
func (c Cursor) LogID() string {
	id, _, _ := strings.Cut(c.Epoch, ".")
	return id
}

// A Page is a section of a log.
type Page struct {
	Revocations []Revocation // canonical, oldest first
	Events      []Event      // oldest first; nil unless the log is a [Log]
	Next        Cursor       // position after the page
	End         bool         // the page reaches the current end of the log

	// Now is the time of the store's clock at which the page was read.
	Now time.Time

	// Known is a time of the store's clock. The page and those before it
	// contain everything that was confirmed to any node until then. For a store
	// with a single copy, it is Now. A replicated store derives it from a
	// regular heartbeat. Known does not advance while the store has lost its
	// replicas.
	Known time.Time
}
