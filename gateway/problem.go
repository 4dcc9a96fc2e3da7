package gateway

import (
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"

	"wsauth"
	"wsauth/internal/problem"
)

// problemHandler returns a handler that answers every request with one error.
// The access log has the reason as well. detail is a fixed text for a person:
// nothing of the request is in either.
func problemHandler(status int, reason, detail string) http.HandlerFunc {
	return documentHandler(problem.Document{Status: status, Detail: detail, Reason: reason})
}

// documentHandler returns a handler that answers every request with d.
func documentHandler(d problem.Document) http.HandlerFunc {
	response := problem.New(d)
	return func(w http.ResponseWriter, r *http.Request) {
		recordOf(r.Context()).reason = wsauth.Reason(d.Reason)
		if len(r.Header["Upgrade"]) > 0 {
			// What follows a refused handshake is not a request.
			w.Header().Set("Connection", "close")
		}
		response.Write(w)
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
