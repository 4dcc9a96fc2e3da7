// Package problem writes JSON responses, and error responses as problem
// documents (RFC 9457).
package problem

import (
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

// A Document is the body of an error response (RFC 9457 section 3.1). Detail is
// a fixed text for a person, without any text from the request.
type Document struct {
	Title  string `json:"title"` // set by New
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Reason string `json:"reason,omitzero"` // stable, for programs

	// Ended and Durable are set in responses to requests that end a session or
	// a token. They say whether it has ended, and whether the store has
	// recorded it.
	Ended   *bool `json:"ended,omitzero"`
	Durable *bool `json:"durable,omitzero"`

	// RetryAfter is how long the client should wait before it tries again. It
	// is sent as the header Retry-After, rounded up to whole seconds.
	RetryAfter time.Duration `json:"-"`
}

// A Response is an encoded document.
type Response struct {
	status     int
	retryAfter string // "" for none
	body       []byte
}

// New encodes d, with the text of its status as the title.
func New(d Document) Response {
	d.Title = http.StatusText(d.Status)
	body, err := json.Marshal(d)
	if err != nil {
		// A detail that is not UTF-8 is a bug. Answer without it.
		return New(Document{Status: d.Status, Reason: "internal_error", RetryAfter: d.RetryAfter})
	}
	p := Response{status: d.Status, body: append(body, '\n')}
	if d.RetryAfter > 0 {
		p.retryAfter = strconv.FormatInt(int64((d.RetryAfter+time.Second-1)/time.Second), 10)
	}
	return p
}

// Write writes the response. Set other header fields before.
func (p Response) Write(w http.ResponseWriter) {
	h := w.Header()
	if p.retryAfter != "" {
		h.Set("Retry-After", p.retryAfter)
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(p.body)))
	w.WriteHeader(p.status)
	_, _ = w.Write(p.body) // the client may have disconnected
}

// TooMany returns the document for a request that exceeds a rate limit and may
// be repeated after wait.
func TooMany(wait time.Duration, detail string) Document {
	return Document{Status: http.StatusTooManyRequests, Detail: detail, Reason: "rate_limited", RetryAfter: wait}
}
