package config

import (
	"reflect"
	"time"

	"wsauth"
)

// An Extractor configures one extractor of a route. In a file, it is the name
// of a kind, or a mapping of that name to the options.
type Extractor struct {
	Kind    string
	Options extractorOptions
}

// extractorOptions are the options of one kind of extractor.
type extractorOptions interface{ extractor() wsauth.Extractor }

type headerOptions struct {
	Name     string `yaml:"name"`
	Scheme   string `yaml:"scheme"`
	NoScheme bool   `yaml:"no_scheme"`
}

type ticketOptions struct {
	Name string `yaml:"name"`
}

type queryOptions struct {
	Name string `yaml:"name"`
}

type subprotocolOptions struct {
	Name   string `yaml:"name"`
	Prefix string `yaml:"prefix"`
}

type firstMessageOptions struct {
	Timeout time.Duration `yaml:"timeout" positive:""`
}

type cookieOptions struct {
	Access            string   `yaml:"access"`
	Refresh           string   `yaml:"refresh"`
	AccessPath        string   `yaml:"access_path"`
	RefreshPath       string   `yaml:"refresh_path"`
	Domain            string   `yaml:"domain"`
	AccessCSRF        string   `yaml:"access_csrf"`
	RefreshCSRF       string   `yaml:"refresh_csrf"`
	AccessCSRFHeader  string   `yaml:"access_csrf_header"`
	RefreshCSRFHeader string   `yaml:"refresh_csrf_header"`
	CSRFQuery         string   `yaml:"csrf_query"`
	CSRFMethods       []string `yaml:"csrf_methods"`
	InsecureNoCSRF    bool     `yaml:"insecure_no_csrf"`
	InsecureHTTP      bool     `yaml:"insecure_http"`
}

// extractorKinds maps each kind to its options with their defaults.
var extractorKinds = map[string]func() extractorOptions{
	"header": func() extractorOptions { return &headerOptions{Name: "Authorization"} },
	"ticket": func() extractorOptions { return &ticketOptions{"ticket"} },
	"cookie": func() extractorOptions {
		return &cookieOptions{
			Access:            "access_token_cookie",
			Refresh:           "refresh_token_cookie",
			AccessPath:        "/",
			RefreshPath:       "/",
			AccessCSRF:        "csrf_access_token",
			RefreshCSRF:       "csrf_refresh_token",
			AccessCSRFHeader:  "X-CSRF-Token",
			RefreshCSRFHeader: "X-CSRF-Token",
			CSRFQuery:         "csrf_token",
			CSRFMethods:       []string{"POST", "PUT", "PATCH", "DELETE"},
		}
	},
	"query":         func() extractorOptions { return &queryOptions{"token"} },
	"subprotocol":   func() extractorOptions { return &subprotocolOptions{} },
	"first_message": func() extractorOptions { return &firstMessageOptions{10 * time.Second} },
}

func defaultExtractors() (all []Extractor) {
	for _, kind := range []string{"header", "ticket", "cookie"} {
		all = append(all, Extractor{kind, extractorKinds[kind]()})
	}
	return all
}

func (e *Extractor) read(d *decoder, key string, n *node) {
	name, options := n.text, &node{line: n.line}
	switch {
	case n.kind == mapping && len(n.pairs) == 1:
		name, options = n.pairs[0].key, n.pairs[0].value
	case n.kind != text:
		d.fault(key, n.line, "must be the name of an extractor, or one name with its options, such as {query: {name: access_token}}; found %s", n.kind)
		return
	}
	known, ok := extractorKinds[name]
	if !ok {
		d.fault(key, n.line, "unknown extractor; use cookie, first_message, header, query, subprotocol or ticket")
		return
	}
	made := known()
	d.decodeStruct(child(key, name), options, reflect.ValueOf(made).Elem())
	e.Kind, e.Options = name, made
}

func (o *headerOptions) extractor() wsauth.Extractor {
	return wsauth.Header{Name: o.Name, Scheme: o.Scheme, NoScheme: o.NoScheme}
}

func (o *ticketOptions) extractor() wsauth.Extractor { return wsauth.Ticket{Name: o.Name} }

func (o *queryOptions) extractor() wsauth.Extractor { return wsauth.Query{Name: o.Name} }

func (o *subprotocolOptions) extractor() wsauth.Extractor {
	return wsauth.Subprotocol{Name: o.Name, Prefix: o.Prefix}
}

func (o *firstMessageOptions) extractor() wsauth.Extractor {
	return wsauth.FirstMessage{Timeout: o.Timeout}
}

func (o *cookieOptions) extractor() wsauth.Extractor {
	return wsauth.Cookies{
		Access:         wsauth.CookieSpec{Name: o.Access, Path: o.AccessPath, CSRFName: o.AccessCSRF, CSRFHeader: o.AccessCSRFHeader},
		Refresh:        wsauth.CookieSpec{Name: o.Refresh, Path: o.RefreshPath, CSRFName: o.RefreshCSRF, CSRFHeader: o.RefreshCSRFHeader},
		Domain:         o.Domain,
		CSRFQuery:      o.CSRFQuery,
		CSRFMethods:    o.CSRFMethods,
		InsecureNoCSRF: o.InsecureNoCSRF,
		InsecureHTTP:   o.InsecureHTTP,
	}
}
