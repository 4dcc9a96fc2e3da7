package config

import (
	"reflect"
	"time"

	"wsauth"
)

// A Location is where a request may carry its credential. In a file it is the
// name of a kind, or a mapping of the name to its options.
type Location struct {
	Kind    string
	Options locationOptions
}

// locationOptions are the options of one kind of location.
type locationOptions interface{ location() wsauth.Location }

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

// locationKinds maps each kind to its options with their defaults.
var locationKinds = map[string]func() locationOptions{
	"header": func() locationOptions { return &headerOptions{Name: "Authorization"} },
	"ticket": func() locationOptions { return &ticketOptions{"ticket"} },
	"cookie": func() locationOptions {
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
	"query":         func() locationOptions { return &queryOptions{"token"} },
	"subprotocol":   func() locationOptions { return &subprotocolOptions{} },
	"first_message": func() locationOptions { return &firstMessageOptions{10 * time.Second} },
}

func defaultLocations() (all []Location) {
	for _, kind := range []string{"header", "ticket", "cookie"} {
		all = append(all, Location{kind, locationKinds[kind]()})
	}
	return all
}

func (l *Location) read(d *decoder, key string, n *node) {
	name, options := n.text, &node{line: n.line}
	switch {
	case n.kind == mapping && len(n.pairs) == 1:
		name, options = n.pairs[0].key, n.pairs[0].value
	case n.kind != text:
		d.fault(key, n.line, "must be the name of a location, or one name with its options, such as {query: {name: access_token}}; found %s", n.kind)
		return
	}
	known, ok := locationKinds[name]
	if !ok {
		d.fault(key, n.line, "unknown location; use cookie, first_message, header, query, subprotocol or ticket")
		return
	}
	made := known()
	d.structure(below(key, name), options, reflect.ValueOf(made).Elem())
	l.Kind, l.Options = name, made
}

func (o *headerOptions) location() wsauth.Location {
	return wsauth.Header{Name: o.Name, Scheme: o.Scheme, NoScheme: o.NoScheme}
}

func (o *ticketOptions) location() wsauth.Location { return wsauth.Ticket{Name: o.Name} }

func (o *queryOptions) location() wsauth.Location { return wsauth.Query{Name: o.Name} }

func (o *subprotocolOptions) location() wsauth.Location {
	return wsauth.Subprotocol{Name: o.Name, Prefix: o.Prefix}
}

func (o *firstMessageOptions) location() wsauth.Location {
	return wsauth.FirstMessage{Timeout: o.Timeout}
}

func (o *cookieOptions) location() wsauth.Location {
	return &wsauth.Cookies{
		Access:            o.Access,
		Refresh:           o.Refresh,
		AccessPath:        o.AccessPath,
		RefreshPath:       o.RefreshPath,
		Domain:            o.Domain,
		AccessCSRF:        o.AccessCSRF,
		RefreshCSRF:       o.RefreshCSRF,
		AccessCSRFHeader:  o.AccessCSRFHeader,
		RefreshCSRFHeader: o.RefreshCSRFHeader,
		CSRFQuery:         o.CSRFQuery,
		CSRFMethods:       o.CSRFMethods,
		InsecureNoCSRF:    o.InsecureNoCSRF,
		InsecureHTTP:      o.InsecureHTTP,
	}
}
