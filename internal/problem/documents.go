package problem

import (
	"net/http"
	"time"
)

// The documents for requests that a store keeps from succeeding.
var (
	// Unavailable is for a request that failed because the store did. Nothing
	// was done that has to be undone.
	Unavailable = Document{
		Status: http.StatusServiceUnavailable,
		Detail: "This cannot be done now; try again",
		Reason: "store_unavailable", RetryAfter: time.Second,
	}

	// Unstorable is for a request that no store can ever fulfil.
	Unstorable = Document{
		Status: http.StatusUnprocessableEntity,
		Detail: "This cannot be stored: it is longer than a store can keep",
		Reason: "invalid_request",
	}

	// NotDurable is for a request that ended tokens or sessions on this node,
	// while the store did not take the revocation.
	NotDurable = Document{
		Status: http.StatusServiceUnavailable,
		Detail: "It has ended on this server, but cannot be written down now; the server will try again",
		Reason: "store_unavailable", RetryAfter: time.Second,
		Ended: new(true), Durable: new(false),
	}
)

// TooMany returns the document for a request that exceeds a rate limit and may
// be repeated after wait.
func TooMany(wait time.Duration, detail string) Document {
	return Document{Status: http.StatusTooManyRequests, Detail: detail, Reason: "rate_limited", RetryAfter: wait}
}
