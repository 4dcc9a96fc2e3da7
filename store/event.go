package store

import (
	"context"
	"fmt"
	"time"
)

const (
	// MaxEventData is the maximum length of [Event.Data] in bytes. It is large
	// enough for the claims of a token of 32 KiB, which are stored twice.
	MaxEventData = 128 << 10

	// maxEventKind is the maximum length of Event.Kind in bytes.
	maxEventKind = 32
)

// A Log is a log of revocations through which nodes also send each other
// events. Events and revocations have a common order, and readers see each
// event once.
type Log interface {
	Revocations

	// Publish atomically adds all of the events. An event replaces the earlier
	// one with the same Kind and ID, if any. Publish returns [ErrInvalid] if an
	// event is not valid or there are more than MaxPage, and [ErrFull] if the
	// log has reached its limit of current events. An event that has expired is
	// not added; this is not an error. The list may be empty. After an error
	// that is not defined in this package, either all or none of the events
	// have been added.
	Publish(context.Context, ...Event) error
}

// An Event is an entry of a [Log] other than a revocation. The store does not
// interpret it.
type Event struct {
	// Kind says what happened. Readers skip kinds that they do not know. 1 to
	// 32 bytes.
	Kind string

	// ID is what it happened to, such as a sid. 1 to 256 bytes.
	ID string

	// Data are the details, at most [MaxEventData].
	Data []byte

	// Expires is the time at which the log drops the event. Later reads omit
	// it. Required.
	Expires time.Time
}

// Canonical returns e in the form in which stores keep it. Expires is in UTC
// and rounded up to milliseconds. Canonical returns an [ErrInvalid] if e is not
// valid.
func (e Event) Canonical() (Event, error) {
	expires := e.Expires.Add(time.Millisecond - time.Nanosecond).UnixMilli()
	switch {
	case e.Kind == "" || len(e.Kind) > maxEventKind:
		return Event{}, fmt.Errorf("%w: an event with a Kind of %d bytes", ErrInvalid, len(e.Kind))
	case e.ID == "" || len(e.ID) > maxID:
		return Event{}, fmt.Errorf("%w: an event with an ID of %d bytes", ErrInvalid, len(e.ID))
	case len(e.Data) > MaxEventData:
		return Event{}, fmt.Errorf("%w: an event with %d bytes of Data", ErrInvalid, len(e.Data))
	case !representable(expires):
		return Event{}, fmt.Errorf("%w: an event with Expires %v", ErrInvalid, e.Expires)
	}
	e.Expires = time.UnixMilli(expires).UTC()
	return e, nil
}

// Expired reports whether the event has expired at the time now.
func (e Event) Expired(now time.Time) bool { return !e.Expires.After(now) }
