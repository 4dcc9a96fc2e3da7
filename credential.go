package wsauth

import (
	"net/http"
	"strings"
)

// A Credential is a token as a request carries it.
type Credential struct {
	// Token is the compact JWS, or a ticket.
	Token string

	// Ticket says that Token is a ticket of [Guard.IssueTicket].
	Ticket bool

	// Ambient says that a browser sends the credential by itself, without the
	// page's doing, as it does with cookies.
	Ambient bool

	// CSRFRequired says that the csrf claim of the token must equal CSRF: the
	// double submit which shows that a page of ours wanted the request.
	CSRFRequired bool

	// CSRF is the value that the page sent beside the credential.
	CSRF string
}

// A Location is a place of a request that may carry a credential.
type Location interface {
	// Extract returns the credential that r carries for q. It is no error when
	// there is none: the Credential is then zero. It is an [*Error] when the
	// place is there but not well-formed, or names the credential twice.
	Extract(r *http.Request, q Requirement) (Credential, error)

	// Missing is the text for a request that needs a credential and has none.
	Missing(q Requirement) string

	// Strip removes the credential from r, so that no handler and no upstream
	// sees it. r is a copy that the location may change as it needs.
	Strip(r *http.Request)
}

// extract returns the one credential of r. More than one is refused, whether
// or not they are equal (RFC 6750 section 2): two parts of a system that each
// believe another one could be made to see different users. The exception is a
// ticket beside what the browser sends by itself: the page has chosen the
// ticket, and cannot keep its cookies back.
func (g *Guard) extract(r *http.Request, q Requirement) (Credential, error) {
	if strings.Contains(r.RequestURI, "#") {
		return Credential{}, refuseWith(InvalidRequest, "A request target has no fragment")
	}
	var found Credential
	for _, location := range g.config.Locations {
		c, err := location.Extract(r, q)
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

// Strip removes every credential of the guard's from r, unless
// Config.KeepCredential. r must be the caller's own, such as a clone: a
// handler in front of the guard may need the credential. Handlers behind
// [Guard.Require] see a request that is stripped already.
func (g *Guard) Strip(r *http.Request) {
	if !g.config.KeepCredential {
		g.stripAlways(r)
	}
}

// stripAlways removes every credential from r.
func (g *Guard) stripAlways(r *http.Request) {
	for _, location := range g.config.Locations {
		location.Strip(r)
	}
}
