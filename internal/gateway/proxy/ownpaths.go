package proxy

import (
	"net/http"
	"slices"
	"strings"

	"wsauth/internal/gateway/fault"
)

// OwnPaths are the paths that the gateway answers itself, whatever the routes
// are.
type OwnPaths struct {
	// Prefix is the path prefix of the login endpoints: the gateway answers it
	// and all paths below it. Default: none.
	Prefix string

	// Published are the paths of documents that pages of every origin may
	// read.
	Published []string

	// Keys is the path of the keys with which upstreams verify assertions. If a
	// route has an assertion, the gateway answers this path even if Published
	// does not contain it.
	Keys string

	// CORS is the policy for the paths below Prefix. Default: none.
	CORS *CORS
}

// contains reports whether the gateway answers path itself. asserts reports
// whether a route has an assertion.
func (o *OwnPaths) contains(path string, asserts bool) bool {
	if asserts && path == o.Keys || slices.Contains(o.Published, path) {
		return true
	}
	below, ok := strings.CutPrefix(path, o.Prefix)
	return ok && o.Prefix != "" && (below == "" || below[0] == '/')
}

// policy returns the policy of the gateway's own endpoints, or nil if there is
// none.
func (o *OwnPaths) policy() *CORSPolicy {
	if o.CORS == nil {
		return nil
	}
	own := *o.CORS
	own.Methods = append(slices.Clone(defaultMethods), http.MethodDelete)
	return newCORSPolicy(o.Prefix, &own, append(credentialHeaders(defaultExtractors()), "Idempotency-Key"))
}

// CheckOwn returns what is wrong with c as the policy of the gateway's own
// endpoints.
func (c *CORS) CheckOwn() fault.List {
	var wrong fault.List
	switch {
	case c.Upstream:
		wrong.Add("", "the gateway's own paths have no upstream: list the origins")
		return wrong
	case len(c.Methods)+len(c.Headers)+len(c.Expose) > 0:
		wrong.Add("", "the gateway sets the methods and headers of its own endpoints: remove these lists")
	}
	return append(wrong, c.check()...)
}
