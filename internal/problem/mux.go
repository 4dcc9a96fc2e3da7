package problem

import (
	"net/http"

	"wsauth/internal/urlpath"
)

// An Endpoint is one method on one path. No path has two methods.
type Endpoint struct {
	Method  string // GET serves HEAD, too
	Path    string // a pattern of http.ServeMux, without a method
	Handler http.Handler
}

// NewMux returns a handler that serves the endpoints. It answers any other
// method on one of their paths with 405 and Allow (RFC 9110 section 15.5.6),
// and any other path with 404. answer writes these documents.
func NewMux(endpoints []Endpoint, answer func(http.ResponseWriter, *http.Request, Document)) http.Handler {
	mux := http.NewServeMux()
	nothingHere := func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, Document{Status: http.StatusNotFound, Detail: "There is nothing at this address"})
	}
	for _, e := range endpoints {
		allow := e.Method
		if allow == http.MethodGet {
			allow = "GET, HEAD"
		}
		mux.Handle(e.Method+" "+e.Path, e.Handler)
		mux.HandleFunc(e.Path, func(w http.ResponseWriter, r *http.Request) {
			answer(w, r, methodNotAllowed(w, allow))
		})
	}
	mux.HandleFunc("/", nothingHere)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// http.ServeMux would redirect any other spelling of a path, and repeat
		// the query in Location. The query may contain a token.
		if escaped := r.URL.EscapedPath(); escaped != urlpath.Clean(escaped) {
			nothingHere(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// methodNotAllowed sets the Allow header of w to a list of methods, and
// returns the document to answer with.
func methodNotAllowed(w http.ResponseWriter, allow string) Document {
	w.Header().Set("Allow", allow)
	return Document{Status: http.StatusMethodNotAllowed, Detail: "This address answers " + allow, Reason: "method_not_allowed"}
}

// contentSecurityPolicy allows a page to load from and connect to this server
// only. It forbids inline scripts and styles, framing, and markup made from
// strings. 'self' includes ws: and wss: on the same host and port (CSP level
// 3, section 6.7.2.8).
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// WithSecurityHeaders adds the security headers for browsers to every answer.
func WithSecurityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
