package gateway

import (
	"net/http"

	"wsauth"
	"wsauth/internal/problem"
)

// problemHandler returns a handler that answers every request with the same
// problem document. reason also goes to the access log. detail is a fixed text
// for people: neither may contain anything from the request.
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

// answerProblem answers r with d.
func answerProblem(w http.ResponseWriter, r *http.Request, d problem.Document) {
	documentHandler(d)(w, r)
}
