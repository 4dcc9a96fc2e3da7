package gateway

import (
	"fmt"
	"net/http"

	"wsauth/idp"
	"wsauth/internal/gateway/telemetry"
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

// A headLimit bounds the head of requests. The server's own limit is higher,
// so that the client learns which part was too long.
type headLimit struct {
	headers                       int // bytes of all header fields
	longTarget, longHeaders       http.HandlerFunc
	invalidMethod, unservedMethod http.HandlerFunc
}

// newHeadLimit returns a limit of that many bytes of header fields.
func newHeadLimit(headers int) headLimit {
	return headLimit{
		headers:       headers,
		longTarget:    telemetry.Problem(http.StatusRequestURITooLong, "", "The address is longer than 8 KiB"),
		longHeaders:   telemetry.Problem(http.StatusRequestHeaderFieldsTooLarge, "", fmt.Sprintf("The header fields are longer than %d KiB", headers>>10)),
		invalidMethod: telemetry.Problem(http.StatusBadRequest, "invalid_request", "The method is not a token"),
		unservedMethod: func(w http.ResponseWriter, r *http.Request) {
			telemetry.AnswerProblem(w, r, problem.MethodNotAllowed(w, "GET, HEAD, POST, DELETE"))
		},
	}
}

// check returns a handler that refuses r, or nil if its header fields and its
// target are not too long and its method is supported. Over HTTP/2, net/http
// accepts any text as a method; it could not be sent to an upstream, and the
// upstream would be blamed for it.
func (l *headLimit) check(r *http.Request) http.HandlerFunc {
	switch {
	case !httpx.IsToken(r.Method): // a method has the same syntax (RFC 9110 section 9.1)
		return l.invalidMethod
	case len(r.RequestURI) > maxTarget:
		return l.longTarget
	case headerBytes(r.Header) > l.headers:
		return l.longHeaders
	case r.Method == http.MethodConnect || r.Method == http.MethodTrace:
		return l.unservedMethod
	}
	return nil
}

// limited returns a handler that applies l to the requests for next.
func (l headLimit) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse := l.check(r); refuse != nil {
			refuse(w, r)
			return
		}
		next.ServeHTTP(w, r)
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
