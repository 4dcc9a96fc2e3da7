package wsauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// A Query extracts a token from a query parameter of the URL, such as
// "/ws?token=…". Every browser supports it, but the token appears in every log
// on the way: prefer cookies, or tokens that are valid for seconds (RFC 6750
// sections 2.3 and 5.3).
type Query struct {
	// Name is the name of the parameter. Required.
	Name string
}

func (q Query) validate() error {
	if q.Name == "" || url.QueryEscape(q.Name) != q.Name {
		return errors.New("Query: Name is required, without characters that a URL escapes")
	}
	return nil
}

// Extract returns the token in the parameter. The parameter is refused if it
// is given twice, has an escaped name, or contains a semicolon, which some
// servers read as "&".
func (q Query) Extract(r *http.Request, _ Requirement) (Credential, error) {
	raw, err := queryValue(r.URL.RawQuery, q.Name)
	return Credential{Token: raw}, err
}

// missing returns the text of examples/query, a program that wsauth grew from.
func (q Query) missing(requirement Requirement) string {
	return "Missing " + string(requirement.Type()) + " token from Query or Path"
}

// Strip removes the parameter.
func (q Query) Strip(r *http.Request) { stripQuery(r, q.Name) }

// queryValue returns the unescaped value of a parameter, or "" if there is
// none. A parameter that is given twice or ambiguously is an error.
func queryValue(query, name string) (string, error) {
	value, found := "", false
	for part := range strings.SplitSeq(query, "&") {
		key, v, _ := strings.Cut(part, "=")
		if !namesParameter(part, name) {
			continue
		}
		unescaped, err := url.QueryUnescape(v)
		if found || key != name || strings.Contains(part, ";") || err != nil {
			return "", refuseWith(InvalidRequest, "The parameter "+name+" is not given once and plainly")
		}
		value, found = unescaped, true
	}
	return value, nil
}

// namesParameter reports whether part could be read as the parameter name,
// either by this server or by a more lenient one behind it, which also splits
// at ";" or trims unescaped names.
func namesParameter(part, name string) bool {
	for piece := range strings.SplitSeq(part, ";") {
		key, _, _ := strings.Cut(piece, "=")
		if plain, err := url.QueryUnescape(key); err == nil && strings.TrimSpace(plain) == name {
			return true
		}
	}
	return false
}

// stripQuery removes a parameter from the URL and the request target of r.
func stripQuery(r *http.Request, name string) {
	var kept []string
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if !namesParameter(part, name) {
			kept = append(kept, part)
		}
	}
	setQuery(r, strings.Join(kept, "&"))
}

func setQuery(r *http.Request, query string) {
	if r.URL.RawQuery == query {
		return
	}
	r.URL.RawQuery = query
	r.RequestURI = r.URL.RequestURI()
	r.Form = nil // a handler outside the guard may have parsed it; ParseForm parses it again
}

// allParameters in Config.AppParameters means every parameter.
const allParameters = "*"

func (q Query) readsQuery(name, _ string) bool { return name == q.Name }

// checkAppParameters reports names that cannot belong to the application.
func (c *Config) checkAppParameters() []error {
	var faults []error
	for i, name := range c.AppParameters {
		field := fmt.Sprintf("wsauth: Config.AppParameters[%d]", i)
		if name != allParameters && (Query{Name: name}).validate() != nil {
			faults = append(faults, fmt.Errorf("%s: %q is not the name of a parameter, without characters that a URL escapes", field, name))
		}
		for _, l := range c.Extractors {
			own := ""
			switch l := l.(type) {
			case Query:
				own = l.Name
			case Ticket:
				own = l.name()
			case Cookies:
				own = l.csrfQuery()
			}
			if name == own {
				faults = append(faults, fmt.Errorf("%s: an extractor reads %s; give that extractor another name", field, name))
			}
		}
	}
	return faults
}
