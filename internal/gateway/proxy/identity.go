package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"wsauth/token"
)

// AssertionTTL is the lifetime of an assertion. The upstream must verify it
// within this time.
const AssertionTTL = time.Minute

// identityHeaders write the identity of a client into the headers of a request
// to an upstream.
type identityHeaders struct {
	headers   []claimHeader
	lists     HeaderLists
	assertion string // name of the assertion header, or ""
	audience  []string
	issuer    *token.Issuer
}

// A claimHeader names a header and the claim that is its value.
type claimHeader struct {
	name  string // in canonical form
	claim string
}

func newIdentityHeaders(r Route, issuer *token.Issuer) identityHeaders {
	t := identityHeaders{lists: r.HeaderLists, assertion: http.CanonicalHeaderKey(r.Assertion), audience: r.Upstreams, issuer: issuer}
	for name, claim := range r.Headers {
		t.headers = append(t.headers, claimHeader{http.CanonicalHeaderKey(name), claim})
	}
	slices.SortFunc(t.headers, func(a, b claimHeader) int { return strings.Compare(a.name, b.name) })
	return t
}

// add writes the client's identity, as claims state it, into h. It writes
// nothing if claims is nil. It fails if a header cannot carry the value of a
// claim unchanged.
func (t identityHeaders) add(h http.Header, claims *token.Claims) error {
	if claims == nil {
		return nil
	}
	all := claimReader{claims: claims}
	for _, header := range t.headers {
		value, err := all.text(header.claim, t.lists)
		if err != nil {
			return fmt.Errorf("claim %q: %w", header.claim, err)
		}
		if value != "" {
			h[header.name] = []string{value}
		}
	}
	if t.assertion == "" {
		return nil
	}
	extra, err := all.extra()
	if err != nil {
		return err
	}
	assertion, err := t.issuer.Assertion(claims.Subject, token.Options{
		TTL: AssertionTTL, Audience: t.audience, SessionID: claims.SessionID, Fresh: claims.Fresh, Claims: extra,
	})
	if err != nil {
		return fmt.Errorf("assertion: %w", err)
	}
	h[t.assertion] = []string{assertion.Raw}
	return nil
}

// A claimReader reads claims by name. It decodes the payload only when a claim
// is requested that token.Claims has no field for.
type claimReader struct {
	claims  *token.Claims
	payload map[string]jsontext.Value
}

// errNotScalar is the error for a claim whose value cannot be written into
// one header.
var errNotScalar = errors.New("is not a string, number or boolean, or a list of them, that a header can carry")

// text returns the claim as a header value, or "" if the claim is absent.
func (r *claimReader) text(name string, lists HeaderLists) (string, error) {
	switch name {
	case "sub":
		return headerText(r.claims.Subject)
	case "sid":
		return headerText(r.claims.SessionID)
	case "iss":
		return headerText(r.claims.Issuer)
	}
	items, list, err := r.items(name)
	if err != nil {
		return "", err
	}
	return lists.headerValue(name, items, list)
}

// MaxHeaderText is the maximum length of an identity header's value, in bytes.
const MaxHeaderText = 4 << 10

// headerText returns s if it can be a header value without being changed on
// the way. Servers trim spaces, and a line break would start another header.
func headerText(s string) (string, error) {
	if len(s) > MaxHeaderText || s != strings.TrimSpace(s) || strings.ContainsFunc(s, isControl) {
		return "", errNotScalar
	}
	return s, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// values returns the texts of a claim: one, or those of a list, or none if the
// claim is absent. The slice belongs to the claims; callers must not change
// it.
func (r *claimReader) values(name string) ([]string, error) {
	if mapped := r.mapped(name); mapped != nil {
		return mapped, nil
	}
	items, _, err := r.items(name)
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = item.text
	}
	return texts, err
}

// mapped returns the scopes or roles that the issuer's profile found in the
// token. It returns nil for other claims.
func (r *claimReader) mapped(name string) []string {
	switch name {
	case "scope":
		return r.claims.Scopes
	case "roles":
		return r.claims.Roles
	}
	return nil
}

// items returns the values of a claim, and reports whether the claim is a
// list.
func (r *claimReader) items(name string) (items []claimItem, list bool, err error) {
	if mapped := r.mapped(name); mapped != nil {
		return itemsOf(mapped), true, nil
	}
	value, err := r.find(name)
	if err != nil || value == nil {
		return nil, false, err
	}
	if value.Kind() != '[' {
		item, err := itemOf(value)
		return []claimItem{item}, false, err
	}
	var values []jsontext.Value
	if err := json.Unmarshal(value, &values); err != nil {
		return nil, false, errNotScalar
	}
	items = make([]claimItem, len(values))
	for i, v := range values {
		if items[i], err = itemOf(v); err != nil {
			return nil, false, err
		}
	}
	return items, true, nil
}

// scopes returns the scopes of the token: those that the issuer's profile
// found or, if there are none, those in the claims scope and scp. A string is
// split at spaces; the entries of a list are taken unchanged. A token of an
// issuer with a profile has neither claim unless the profile reads it.
func (r *claimReader) scopes() ([]string, error) {
	if r.claims.Scopes != nil {
		return r.claims.Scopes, nil
	}
	var words []string
	for _, name := range []string{"scope", "scp"} {
		items, list, err := r.items(name)
		if err != nil {
			return nil, fmt.Errorf("claim %q: %w", name, err)
		}
		for _, item := range items {
			if list {
				words = append(words, item.text)
			} else {
				words = append(words, strings.Fields(item.text)...)
			}
		}
	}
	return words, nil
}

// find returns the claim of that name. If there is none, it follows the dots
// in name into nested objects. It returns nil if that leads nowhere.
func (r *claimReader) find(name string) (jsontext.Value, error) {
	if r.payload == nil {
		if err := r.claims.Decode(&r.payload); err != nil {
			return nil, err
		}
	}
	object := r.payload
	for {
		if v, ok := object[name]; ok {
			return v, nil
		}
		first, rest, more := strings.Cut(name, ".")
		inner := object[first]
		if !more || inner.Kind() != '{' {
			return nil, nil
		}
		object, name = nil, rest
		if err := json.Unmarshal(inner, &object); err != nil {
			return nil, errNotScalar
		}
	}
}

// scalar returns the text of a JSON string, number or boolean.
func scalar(v jsontext.Value) (string, error) {
	switch v.Kind() {
	case '"':
		var s string
		err := json.Unmarshal(v, &s)
		return s, err
	case '0', 't', 'f':
		return string(v), nil
	}
	return "", errNotScalar
}

// reservedClaims are those that an assertion sets itself, and those that
// concern only the client's credential.
var reservedClaims = []string{"sub", "sid", "iss", "aud", "exp", "iat", "nbf", "jti", "type", "csrf", "fresh"}

// extra returns the claims of the token that an assertion passes on unchanged:
// all but reservedClaims.
func (r *claimReader) extra() (map[string]any, error) {
	if _, err := r.find(""); err != nil { // decodes the payload
		return nil, err
	}
	extra := make(map[string]any, len(r.payload))
	for name, value := range r.payload {
		if !slices.ContainsFunc(reservedClaims, func(s string) bool { return strings.EqualFold(s, name) }) {
			extra[name] = value
		}
	}
	return extra, nil
}
