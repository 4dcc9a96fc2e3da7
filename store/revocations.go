package store

import (
	"context"
	"errors"
)

// MaxPage is how many revocations one call takes or returns at most.
const MaxPage = 1000

// ErrCursor means that a cursor is of another log, or of a state of this one
// that was lost. Read again from the zero Cursor.
var ErrCursor = errors.New("store: unknown cursor")

// Revocations is a log of revocations, which any number of readers follow.
// It is safe for concurrent use. Methods return soon after ctx is done, with
// its error.
type Revocations interface {
	// Revoke adds all of the revocations, or none. When it returns nil they
	// are as durable as the store is, and readers see them. One that cannot
	// concern any token is [ErrInvalid], as are more than MaxPage in one
	// call; [ErrFull] is a log with as many that still matter as it may have.
	// A log has room for [Everything] even when it is full.
	//
	// A scope and ID that the log has is no error: of both the later Before
	// and the later Expires hold, and readers see it again only if that
	// changed it. One that is [Revocation.Gone] already is no error either,
	// and is left out, and so is one that the Everything of the log, or of the
	// same call, [Revocation.Covers]. Nor is it an error to revoke nothing.
	//
	// After an error that is none of this package's, such as a context's in
	// the midst of it, all of them may have been added, or none: to repeat
	// the call does no harm.
	Revoke(context.Context, ...Revocation) error

	// Read returns the revocations that came after a cursor, oldest first,
	// MaxPage of them; a page that has fewer ends the log for now. None that
	// is Gone is among them, nor one that a later one replaced or that the
	// log's Everything covers. The zero Cursor stands before the first
	// revocation.
	Read(ctx context.Context, after Cursor) (Page, error)

	// Wait returns nil once something came after the cursor of a page, at
	// once if it has already.
	Wait(ctx context.Context, after Cursor) error
}

// An Overfiller is a durable log that can take more than its limit. An [Index]
// asks it at the end of the process, which would otherwise forget what a full
// log has not taken: a higher limit often needs a restart.
type Overfiller interface {
	// Overfill is Revoke without the limit: it never returns [ErrFull].
	Overfill(context.Context, ...Revocation) error
}

// Usage is how full a log of revocations is. A full one holds as many entries
// as its limit, and one more for [Everything].
type Usage struct {
	Entries int
	Limit   int // 0: none

	// ReadOnly means that the log takes nothing for now, such as one that could
	// not be prepared for writing because its disk is full.
	ReadOnly bool
}

// A UsageReporter is a log that can say how full it is. An [Index] asks it at
// each contact, and warns before the log is full.
type UsageReporter interface {
	RevocationUsage(context.Context) (Usage, error)
}

// A Cursor is a place in one log. It is comparable, and means nothing to
// another log.
type Cursor struct {
	Epoch    string // which log; another one whenever entries may have been lost
	Sequence uint64 // the last entry before the place
}

// A Page is a part of a log.
type Page struct {
	Revocations []Revocation // canonical, oldest first
	Next        Cursor       // where to read on
}
