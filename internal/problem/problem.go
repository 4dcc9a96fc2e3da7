// Package problem writes the answers to failed requests. They are documents
// of RFC 9457.
package problem

import (
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
)

// A Document is the body of an answer (RFC 9457 section 3.1). Detail is a
// fixed text for a person: nothing of the request is in it.
type Document struct {
	Title  string `json:"title"` // set by New
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Reason string `json:"reason,omitzero"` // a stable word for programs

	// Ended and Durable are for requests that end a session or a token: they
	// say whether it has ended, and whether the store has it.
	Ended   *bool `json:"ended,omitzero"`
	Durable *bool `json:"durable,omitzero"`
}

// A Response is an encoded document.
type Response struct {
	status int
	body   []byte
}

// New encodes d, whose title is the text of its status.
func New(d Document) Response {
	d.Title = http.StatusText(d.Status)
	body, err := json.Marshal(d)
	if err != nil {
		// A detail that is not UTF-8 is a fault of the program. The answer says
		// as much as it can.
		return New(Document{Status: d.Status, Reason: "internal_error"})
	}
	return Response{d.Status, append(body, '\n')}
}

// Write answers a request. Header fields of its own are set before.
func (p Response) Write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(p.body)))
	w.WriteHeader(p.status)
	_, _ = w.Write(p.body) // a client that is gone needs no answer
}
