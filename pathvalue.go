package wsauth

import (
	"errors"
	"net/http"
	"strings"
)

// A PathValue extracts a token from a wildcard of the route's pattern, such as
// "/ws/{token}" of [http.ServeMux]. As with [Query], the token appears in
// every log on the way.
type PathValue struct {
	// Name is the name of the wildcard. Required.
	Name string
}

func (p PathValue) validate() error {
	if p.Name == "" {
		return errors.New("PathValue: Name is required")
	}
	return nil
}

// Extract returns the value of the wildcard. A value that is escaped in the
// path is refused: tokens need no escapes, and servers interpret escapes
// differently.
func (p PathValue) Extract(r *http.Request, _ Requirement) (Credential, error) {
	raw := r.PathValue(p.Name)
	if !strings.Contains(r.URL.EscapedPath(), raw) {
		return Credential{}, refuseWith(InvalidRequest, "The token in the path is not given plainly")
	}
	return Credential{Token: raw}, nil
}

// missing returns the same text as Query.missing.
func (p PathValue) missing(q Requirement) string { return Query{}.missing(q) }

// Strip replaces the token, and all copies of it in the URL, by "-".
func (p PathValue) Strip(r *http.Request) {
	const removed = "-"
	raw := r.PathValue(p.Name)
	if raw == "" {
		return
	}
	r.SetPathValue(p.Name, removed)
	r.URL.Path = strings.ReplaceAll(r.URL.Path, raw, removed)
	r.URL.RawPath = strings.ReplaceAll(r.URL.RawPath, raw, removed)
	r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, raw, removed)
	r.RequestURI = r.URL.RequestURI()
}
