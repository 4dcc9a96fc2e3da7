package problem

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"wsauth/store"
)

// StoreTimeout is the maximum duration of a request's operations on a store.
const StoreTimeout = 5 * time.Second

// Storing returns the context for the operations of r on a store. It is not
// canceled if the client disconnects: closing a page right after "log out"
// logs out.
func Storing(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.Context()), StoreTimeout)
}

// Unavailable is the answer to a request that failed because the store did.
// Nothing was done that has to be undone.
var Unavailable = Document{
	Status: http.StatusServiceUnavailable,
	Detail: "This cannot be done now; try again",
	Reason: "store_unavailable", RetryAfter: time.Second,
}

// unstorable is the answer to a request whose data no store can ever keep.
var unstorable = Document{
	Status: http.StatusUnprocessableEntity,
	Detail: "This cannot be stored: it is longer than a store can keep",
	Reason: "invalid_request",
}

// notDurable is the answer to a request that ended tokens or sessions on this
// node although the store did not take the revocation.
var notDurable = Document{
	Status: http.StatusServiceUnavailable,
	Detail: "It has ended on this server, but cannot be written down now; the server will try again",
	Reason: "store_unavailable", RetryAfter: time.Second,
	Ended: new(true), Durable: new(false),
}

// Accepted logs err with attrs and returns nil if it is [store.ErrUnconfirmed],
// because the operation is in effect on all nodes. It returns any other err.
func Accepted(log *slog.Logger, err error, attrs ...any) error {
	if !errors.Is(err, store.ErrUnconfirmed) || errors.Is(err, store.ErrNotDurable) {
		return err
	}
	log.Warn("accepted, but no replica of the store has confirmed it", append(attrs, "error", err)...)
	return nil
}

// StoreFailure logs that an operation on a store failed with err, and returns
// the document to answer with. what names the operation in the log, which also
// gets attrs.
//
// After [store.ErrNotDurable], the tokens or sessions have ended on this node,
// and the document says so. A restart of this node may undo that, and other
// nodes learn of it only once the store has it.
func StoreFailure(log *slog.Logger, what string, err error, attrs ...any) Document {
	switch {
	case errors.Is(err, store.ErrNotDurable):
		log.Error("ended on this node only, and not yet written", append(attrs, "reason", notDurable.Reason, "error", err)...)
		return notDurable
	case errors.Is(err, store.ErrInvalid): // repeating the request does not help
		log.Warn(what, append(attrs, "reason", unstorable.Reason, "error", err)...)
		return unstorable
	}
	log.Error(what, append(attrs, "reason", Unavailable.Reason, "error", err)...)
	return Unavailable
}
