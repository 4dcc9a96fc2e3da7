package gateway

import (
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"

	"wsauth"
)

// A problemDocument is the body of an error answer (RFC 9457). It has the members of the guard's own.
type problemDocument struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Reason string `json:"reason,omitzero"` // a stable word for programs

	// Of what was to end a session: whether it has ended, and whether the
	// store has it.
	Ended   *bool `json:"ended,omitzero"`
	Durable *bool `json:"durable,omitzero"`
}

// problem answers every request with one error, whose reason the access log has too. detail is a fixed text for a person: nothing of the
// request is in either.
func problem(status int, reason, detail string) http.HandlerFunc {
	return problemOf(problemDocument{Status: status, Detail: detail, Reason: reason})
}

// problemOf is problem for a document with more members. It fills in the
// title.
func problemOf(d problemDocument) http.HandlerFunc {
	d.Title = http.StatusText(d.Status)
	body, err := json.Marshal(d)
	if err != nil {
		panic(err) // strings, truth values and an integer always marshal
	}
	return func(w http.ResponseWriter, r *http.Request) {
		recordOf(r.Context()).reason = wsauth.Reason(d.Reason)
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Cache-Control", "no-store")
		if len(r.Header["Upgrade"]) > 0 {
			// What follows a refused handshake is not a request.
			w.Header().Set("Connection", "close")
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(d.Status)
		_, _ = w.Write(body) // a client that is gone needs no answer
	}
}

// writeJSON answers 200 with v, which proves or tells of a login and so is never stored by a cache.
func writeJSON(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // v is one of the answers of this package
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that is gone needs no answer
}
