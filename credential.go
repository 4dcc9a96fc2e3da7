package wsauth

import (
	"net/http"
	"strings"
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

// extract returns the one credential of r. It refuses several, even equal ones
// (RFC 6750 section 2): two parts of a system that use different ones could see
// different users. The exception is a ticket together with a credential that
// browsers send on their own: the page has chosen the ticket, and cannot
// withhold its cookies.
func (g *Guard) extract(r *http.Request, q Requirement) (Credential, error) {
	if strings.Contains(r.RequestURI, "#") {
		return Credential{}, refuseWith(InvalidRequest, "A request target has no fragment")
	}
	var found Credential
	for _, extractor := range g.config.Extractors {
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
	if err := g.checkStrayToken(r.URL.RawQuery); err != nil {
		return Credential{}, err
	}
	return found, nil
}

// Strip removes all credentials of the guard from r, unless
// Config.KeepCredential is set. r must belong to the caller, for example as a
// clone: a handler outside the guard may need the credentials. Requests of
// handlers inside [Guard.Require] are already stripped.
func (g *Guard) Strip(r *http.Request) {
	if !g.config.KeepCredential {
		g.stripAlways(r)
	}
}

// stripAlways removes all credentials of the guard from r.
func (g *Guard) stripAlways(r *http.Request) {
	for _, extractor := range g.config.Extractors {
		extractor.Strip(r)
	}
}
