package gateway

import (
	"fmt"
	"net/http"

	"wsauth/idp"
	"wsauth/internal/httpx"
	"wsauth/internal/problem"
)

const (
	maxTarget  = 8 << 10  // bytes of a request target; more is 414
	maxHeaders = 32 << 10 // bytes of all header fields, beside the room for longer tokens; more is 431
	maxHead    = 64 << 10 // what net/http reads of a head, likewise
)

// roomForTokens returns how many more bytes of header fields requests may
// have where providers have longer tokens than usual. A subprotocol may carry
// a token in base64, which makes it a third longer.
func roomForTokens(providers []*idp.Provider) int {
	longest := 0
	for _, p := range providers {
		longest = max(longest, p.MaxTokenBytes())
	}
	return max(0, longest-idp.DefaultMaxTokenBytes) * 4 / 3
}

// limit refuses requests whose header fields are longer than headers or whose
// target is too long, and methods that have no place here. The server's own
// limit lies higher, so that the client is told which of the two was too
// long. Over HTTP/2 net/http takes anything for a method, which no upstream
// can be sent, and is not at fault for.
func limit(next http.Handler, headers int) http.Handler {
	tooLongTarget := problemHandler(http.StatusRequestURITooLong, "", "The address is longer than 8 KiB")
	tooLongHeaders := problemHandler(http.StatusRequestHeaderFieldsTooLarge, "", fmt.Sprintf("The header fields are longer than %d KiB", headers>>10))
	noMethod := problemHandler(http.StatusBadRequest, "invalid_request", "The method is not a token")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !httpx.IsToken(r.Method): // the same characters (RFC 9110 section 9.1)
			noMethod(w, r)
		case len(r.RequestURI) > maxTarget:
			tooLongTarget(w, r)
		case headerBytes(r.Header) > headers:
			tooLongHeaders(w, r)
		case r.Method == http.MethodConnect || r.Method == http.MethodTrace:
			answerProblem(w, r, problem.MethodNotAllowed(w, "GET, HEAD, POST, DELETE"))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// headerBytes is the length of h on the wire.
func headerBytes(h http.Header) int {
	n := 0
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(": ") + len(v) + len("\r\n")
		}
	}
	return n
}
