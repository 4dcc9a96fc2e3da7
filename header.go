package wsauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
)

// A Header is the location of a token in a header field, by default
// "Authorization: Bearer <token>" (RFC 6750 section 2.1). Browsers cannot set
// it on a WebSocket; fetch and other clients can.
type Header struct {
	// Name of the field. Default: "Authorization".
	Name string

	// Scheme before the token, compared in any case. Default: "Bearer".
	Scheme string

	// NoScheme says that the field is the token and nothing else, as fields
	// other than Authorization often are.
	NoScheme bool
}

func (h Header) name() string {
	if h.Name == "" {
		return "Authorization"
	}
	return textproto.CanonicalMIMEHeaderKey(h.Name)
}

func (h Header) scheme() string {
	if h.Scheme == "" && !h.NoScheme {
		return "Bearer"
	}
	return h.Scheme
}

func (h Header) validate() error {
	if !isName(h.name()) || h.Scheme != "" && !isName(h.Scheme) {
		return errors.New("Header: Name and Scheme are single words (RFC 9110 section 5.6.2)")
	}
	if h.NoScheme && h.Scheme != "" {
		return errors.New("Header: NoScheme contradicts Scheme")
	}
	return nil
}

// Extract returns the token of the field. A second line, a list, or anything
// but one space between scheme and token is refused.
func (h Header) Extract(r *http.Request, _ Requirement) (Credential, error) {
	lines := r.Header[h.name()]
	if len(lines) == 0 {
		return Credential{}, nil
	}
	if len(lines) > 1 {
		return Credential{}, refuseWith(InvalidRequest, "More than one "+h.name()+" header")
	}
	raw, scheme := lines[0], h.scheme()
	if scheme != "" {
		given, rest, _ := strings.Cut(raw, " ")
		if !strings.EqualFold(given, scheme) {
			return Credential{}, h.otherScheme(given)
		}
		raw = rest
	}
	if raw == "" || strings.ContainsAny(raw, " \t,") {
		return Credential{}, refuseWith(InvalidRequest, h.expected())
	}
	return Credential{Token: raw}, nil
}

// otherScheme refuses a field of another scheme, such as Basic: it is a proper
// field, so the answer asks for a token as if there were none, unless our own
// scheme is in there, misspelt.
func (h Header) otherScheme(given string) error {
	if len(given) >= len(h.scheme()) && strings.EqualFold(given[:len(h.scheme())], h.scheme()) {
		return refuseWith(InvalidRequest, h.expected())
	}
	return refuseWith(TokenMissing, h.expected())
}

func (h Header) expected() string {
	return fmt.Sprintf("Bad %s header. Expected value '%s'", h.name(), strings.TrimSpace(h.scheme()+" <JWT>"))
}

// Missing is "Missing Authorization Header", with the configured name.
func (h Header) Missing(Requirement) string { return "Missing " + h.name() + " Header" }

// Strip removes the field.
func (h Header) Strip(r *http.Request) { r.Header.Del(h.name()) }
