package wsauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"

	"wsauth/internal/httpx"
)

// A Header extracts a token from a header, by default "Authorization: Bearer
// <token>" (RFC 6750 section 2.1). Pages cannot set it for a WebSocket;
// fetch and other clients can.
type Header struct {
	// Name is the name of the header. Default: "Authorization".
	Name string

	// Scheme precedes the token. It is case-insensitive. Default: "Bearer".
	Scheme string

	// NoScheme means that the value is the token alone, which is common in
	// headers other than Authorization.
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
	if !httpx.IsToken(h.name()) || h.Scheme != "" && !httpx.IsToken(h.Scheme) {
		return errors.New("Header: Name and Scheme are single words (RFC 9110 section 5.6.2)")
	}
	if h.name() == "Cookie" {
		return errors.New("Header: browsers send the Cookie header on their own; use the extractor Cookies")
	}
	if h.NoScheme && h.Scheme != "" {
		return errors.New("Header: NoScheme contradicts Scheme")
	}
	return nil
}

// Extract returns the token in the header. A second header, a list, and
// anything except one space between scheme and token are refused. A header
// with another scheme, such as Basic, is not a credential for the guard and
// stays in the request.
func (h Header) Extract(r *http.Request, _ Requirement) (Credential, error) {
	lines := r.Header[h.name()]
	if len(lines) == 0 {
		return Credential{}, nil
	}
	if len(lines) > 1 {
		return Credential{}, refuseWith(InvalidRequest, "More than one "+h.name()+" header")
	}
	raw, scheme := lines[0], h.scheme()
	if h.isForeign(raw) {
		return Credential{}, nil
	}
	if scheme != "" {
		given, rest, _ := strings.Cut(raw, " ")
		if !strings.EqualFold(given, scheme) {
			return Credential{}, h.misspelt(raw)
		}
		raw = rest
	}
	if raw == "" || strings.Contains(raw, " ") || strings.Contains(raw, "\t") || strings.Contains(raw, ",") {
		return Credential{}, refuseWith(InvalidRequest, h.expected())
	}
	return Credential{Token: raw}, nil
}

// isForeign reports whether the header has another scheme (RFC 9110 section
// 11.4) or is empty. A value that a lenient parser could read as ours is not
// foreign: a token without a scheme, our scheme misspelt, or our scheme later
// in a list.
func (h Header) isForeign(raw string) bool {
	given, rest, more := strings.Cut(raw, " ")
	switch scheme := h.scheme(); {
	case raw == "":
		return true
	case !httpx.IsToken(given), httpx.IsJWS(given):
		return false
	case scheme == "": // only Authorization always has a scheme
		return h.name() == "Authorization" && more && !strings.EqualFold(given, "Bearer")
	default:
		return !hasPrefixFold(given, scheme) && !hasWordFold(rest, scheme)
	}
}

// foreign returns the refusal of a request whose only credential is a header
// with another scheme, or nil for other requests.
func (h Header) foreign(r *http.Request) *Error {
	if lines := r.Header[h.name()]; len(lines) != 1 || !h.isForeign(lines[0]) {
		return nil
	}
	return &Error{Reason: TokenMissing, Message: h.expected(), Err: errNoCredential}
}

// misspelt refuses a header whose scheme is neither ours nor foreign.
func (h Header) misspelt(raw string) error {
	if hasPrefixFold(raw, h.scheme()) || hasWordFold(raw, h.scheme()) {
		return refuseWith(InvalidRequest, h.expected())
	}
	return refuseWith(TokenMissing, h.expected())
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// hasWordFold reports whether s, a list of words, contains want, ignoring case.
func hasWordFold(s, want string) bool {
	separates := func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }
	for word := range strings.FieldsFuncSeq(s, separates) {
		if strings.EqualFold(word, want) {
			return true
		}
	}
	return false
}

func (h Header) expected() string {
	return fmt.Sprintf("Bad %s header. Expected value '%s'", h.name(), strings.TrimSpace(h.scheme()+" <JWT>"))
}

// missing returns "Missing Authorization Header", with the configured name.
func (h Header) missing(Requirement) string { return "Missing " + h.name() + " Header" }

// Strip removes the header, unless it has another scheme.
func (h Header) Strip(r *http.Request) {
	if lines := r.Header[h.name()]; len(lines) != 1 || !h.isForeign(lines[0]) {
		delete(r.Header, h.name())
	}
}
