package problem

import (
	"fmt"
	"net/http"

	"wsauth/internal/httpx"
)

const (
	// MaxTarget is the maximum length of a request target, in bytes.
	MaxTarget = 8 << 10

	// MaxHeaders is the usual maximum length of all header fields of a
	// request, in bytes.
	MaxHeaders = 32 << 10

	// MaxHead is the maximum length of a request's head that net/http should
	// read, in bytes, if the header fields may be as long as [MaxHeaders].
	MaxHead = 64 << 10
)

// CheckHead returns nil, or the document to refuse r with: its target is longer
// than [MaxTarget], its header fields are longer than maxHeaders bytes, or its
// method is not supported. The limit of net/http must be higher than these, so
// that the client learns which part was too long.
//
// Over HTTP/2, net/http accepts any text as a method. Sending such a method to
// an upstream would fail, and the error would blame the upstream.
func CheckHead(w http.ResponseWriter, r *http.Request, maxHeaders int) *Document {
	switch {
	case !httpx.IsToken(r.Method): // a method has the same syntax (RFC 9110 section 9.1)
		return &Document{Status: http.StatusBadRequest, Detail: "The method is not a token", Reason: "invalid_request"}
	case len(r.RequestURI) > MaxTarget:
		return &Document{Status: http.StatusRequestURITooLong, Detail: fmt.Sprintf("The address is longer than %d KiB", MaxTarget>>10)}
	case headerBytes(r.Header) > maxHeaders:
		return &Document{Status: http.StatusRequestHeaderFieldsTooLarge, Detail: fmt.Sprintf("The header fields are longer than %d KiB", maxHeaders>>10)}
	case r.Method == http.MethodConnect || r.Method == http.MethodTrace:
		d := methodNotAllowed(w, "GET, HEAD, POST, DELETE")
		return &d
	}
	return nil
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
