package wsauth

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"wsauth/internal/httpx"
)

// A Credential represents a token or a ticket as found in a request.
type Credential struct {
	// Token is the compact JWS, or the ticket.
	Token string

	// Ticket reports whether Token is a ticket of [Guard.IssueTicket].
	Ticket bool

	// Ambient reports whether browsers send the credential on their own, as they
	// do with cookies.
	Ambient bool

	// CSRFRequired reports whether the csrf claim of the token must equal CSRF
	// (double submit). This proves that the request is from a page of the
	// server.
	CSRFRequired bool

	// CSRF is the value that the page has sent with the credential.
	CSRF string
}

// An Extractor reads a credential from one place of a request.
type Extractor interface {
	// Extract returns the credential that r carries for q. If there is none,
	// it returns the zero Credential and no error. If the credential is
	// malformed, or given more than once, the error is an [*Error].
	Extract(r *http.Request, q Requirement) (Credential, error)

	// Strip removes the credential from r, so that neither handlers nor
	// upstreams see it. r is a clone that Strip may modify.
	Strip(r *http.Request)
}

// extractors finds the credential of a request, and removes it.
type extractors struct {
	list          []Extractor
	firstMessage  *FirstMessage // the one in list, or nil
	appParameters []string
	keep          bool // see Config.KeepCredential
}

func newExtractors(c *Config) *extractors {
	x := &extractors{list: c.Extractors, appParameters: c.AppParameters, keep: c.KeepCredential}
	for _, l := range c.Extractors {
		if first, ok := l.(FirstMessage); ok {
			x.firstMessage = &first
		}
	}
	return x
}

// extract returns the one credential of r. It refuses several, even equal ones
// (RFC 6750 section 2): two parts of a system that use different ones could see
// different users. The exception is a ticket together with a credential that
// browsers send on their own: the page has chosen the ticket, and cannot
// withhold its cookies.
func (x *extractors) extract(r *http.Request, q Requirement) (Credential, error) {
	if strings.Contains(r.RequestURI, "#") {
		return Credential{}, refuseWith(InvalidRequest, "A request target has no fragment")
	}
	var found Credential
	for _, extractor := range x.list {
		c, err := extractor.Extract(r, q)
		if err != nil {
			return Credential{}, err
		}
		switch {
		case c.Token == "", found.Ticket && c.Ambient:
		case found.Token == "", c.Ticket && found.Ambient:
			found = c
		default:
			return Credential{}, refuseWith(InvalidRequest, "A request carries its credential in one place only")
		}
	}
	if err := x.checkStrayToken(r.URL.RawQuery); err != nil {
		return Credential{}, err
	}
	return found, nil
}

// missing returns the refusal of a request that needs a credential and has
// none. If an extractor has ignored a foreign credential, the client probably
// meant it for this guard, so the refusal is about that credential.
func (x *extractors) missing(r *http.Request, q Requirement) *Error {
	for _, l := range x.list {
		if l, ok := l.(interface{ foreign(r *http.Request) *Error }); ok {
			if refusal := l.foreign(r); refusal != nil {
				return refusal
			}
		}
	}
	message := "Missing " + string(q.Type()) + " token"
	if l, ok := x.list[0].(interface{ missing(q Requirement) string }); ok {
		message = l.missing(q)
	}
	return &Error{Reason: TokenMissing, Message: message, Err: errNoCredential}
}

// checkStrayToken refuses a query with a token in a parameter that no
// extractor reads: the token would appear in logs, and since it is ignored,
// the mistake would go unnoticed. Config.AppParameters are exempt.
func (x *extractors) checkStrayToken(query string) error {
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		stray := name == "access_token" || // RFC 6750 section 2.3
			name == "token" && httpx.IsJWS(value)
		if stray && !x.readsQuery(name, value) && !x.isAppParameter(name) {
			return &Error{
				Reason:  InvalidRequest,
				Message: "A token does not travel in the URL here",
				Err:     fmt.Errorf("no extractor reads the parameter %s; if it is the application's own, name it in Config.AppParameters", name),
			}
		}
	}
	return nil
}

// readsQuery reports whether an extractor reads the parameter: a [Query], a
// [Ticket], or a type that embeds one of them.
func (x *extractors) readsQuery(name, value string) bool {
	return slices.ContainsFunc(x.list, func(l Extractor) bool {
		reader, ok := l.(interface {
			readsQuery(name, value string) bool
		})
		return ok && reader.readsQuery(name, value)
	})
}

// isAppParameter reports whether a query parameter belongs to the application.
func (x *extractors) isAppParameter(name string) bool {
	return slices.Contains(x.appParameters, name) || slices.Contains(x.appParameters, allParameters)
}

// strip removes all credentials from r, unless they are to be kept.
func (x *extractors) strip(r *http.Request) {
	if !x.keep {
		x.stripAlways(r)
	}
}

// stripAlways removes all credentials of the guard from r.
func (x *extractors) stripAlways(r *http.Request) {
	for _, extractor := range x.list {
		extractor.Strip(r)
	}
}

// stripped returns a copy of r with the context ctx and without credentials.
// The original keeps them for handlers outside the guard. The copy shares the
// values of the header, unless an extractor of the application might change
// them in place.
func (x *extractors) stripped(ctx context.Context, r *http.Request) *http.Request {
	var stripped *http.Request
	if x.stripsAnywhere() {
		stripped = r.Clone(ctx)
	} else {
		bare := *r
		bare.Header = nil
		stripped = bare.Clone(ctx)
		stripped.Header = maps.Clone(r.Header)
	}
	x.strip(stripped)
	return stripped
}

// stripsAnywhere reports whether an extractor may change any part of a request,
// such as its path. The others only change its query and replace values of its
// header.
func (x *extractors) stripsAnywhere() bool {
	for _, e := range x.list {
		switch e.(type) {
		case Header, Cookies, Query, Ticket, Subprotocol, FirstMessage:
		default:
			return true
		}
	}
	return false
}

// subprotocol does what [Socket.Subprotocol] does.
func (x *extractors) subprotocol(r *http.Request) string {
	if len(r.Header["Sec-Websocket-Protocol"]) == 0 {
		return ""
	}
	offered := slices.Collect(httpx.Items(r.Header["Sec-Websocket-Protocol"]))
	marker := ""
	tokens := map[string]bool{}
	for _, l := range x.list {
		p, ok := l.(interface {
			marked(offered []string) []int
			marker(offered []string) string
		})
		if !ok {
			continue
		}
		if name := p.marker(offered); name != "" {
			marker = name
		}
		for _, at := range p.marked(offered) {
			tokens[offered[min(at, len(offered)-1)]] = true
		}
	}
	left := slices.DeleteFunc(offered, func(item string) bool { return tokens[item] })
	if marker == "" || len(left) != 1 || left[0] != marker {
		return ""
	}
	return marker
}

// Strip removes all credentials of the guard from r, unless
// Config.KeepCredential is set. r must belong to the caller, for example as a
// clone: a handler outside the guard may need the credentials. Requests of
// handlers inside [Guard.Require] are already stripped.
func (g *Guard) Strip(r *http.Request) { g.extractors.strip(r) }
