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
	maxHeaders = 32 << 10 // bytes of all header fields, without roomForTokens; more is 431
	maxHead    = 64 << 10 // bytes of a request head that net/http reads, without roomForTokens
)

// roomForTokens returns how many more bytes of header fields are allowed
// because a provider issues tokens of more than the usual length. A
// subprotocol may carry a token in base64, which makes it a third longer.
func roomForTokens(providers []*idp.Provider) int {
	longest := 0
	for _, p := range providers {
		longest = max(longest, p.MaxTokenBytes())
	}
	return max(0, longest-idp.DefaultMaxTokenBytes) * 4 / 3
}

// limit returns a handler that refuses requests whose header fields have more
// than headers bytes, whose target is too long, or whose method is not
// supported. The server's own limit is higher, so that the client learns which
// of the two was too long. Over HTTP/2, net/http accepts any text as a method;
// it could not be sent to an upstream, and the upstream would be blamed for
// it.
func limit(next http.Handler, headers int) http.Handler {
	tooLongTarget := problemHandler(http.StatusRequestURITooLong, "", "The address is longer than 8 KiB")
	tooLongHeaders := problemHandler(http.StatusRequestHeaderFieldsTooLarge, "", fmt.Sprintf("The header fields are longer than %d KiB", headers>>10))
	noMethod := problemHandler(http.StatusBadRequest, "invalid_request", "The method is not a token")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !httpx.IsToken(r.Method): // a method has the same syntax (RFC 9110 section 9.1)
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

// headerBytes returns the length of h on the wire.
func headerBytes(h http.Header) int {
	n := 0
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(": ") + len(v) + len("\r\n")
		}
	}
	return n
}
