package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"wsauth"
	"wsauth/internal/gateway/fault"
	"wsauth/internal/httpx"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// CheckRoutes checks routes, individually and for conflicts with each other
// and with the gateway's own paths. It returns deep copies with their defaults
// set. keys sign assertions; they may be nil.
func CheckRoutes(routes []Route, own OwnPaths, keys Keys) ([]Route, fault.List) {
	var wrong fault.List
	routes = slices.Clone(routes)
	asserts := slices.ContainsFunc(routes, func(r Route) bool { return r.Assertion != "" })
	seen := map[string]string{} // keyed by the name as lenient servers read it
	for i, r := range routes {
		field := fmt.Sprintf("Routes[%d]", i)
		r.Extractors = byValue(r.Extractors)
		filled, of := r.clone().check()
		wrong.AddBelow(field, of)
		if own.contains(r.Path, asserts) {
			wrong.Add(field+".Path", "%q is one of the gateway's own paths, for logins and published keys: no request would reach the route", r.Path)
		}
		loose := r.Host + loosen(r.Path)
		if strings.HasSuffix(r.Path, "/") {
			loose += "/"
		}
		switch other, twice := seen[loose]; {
		case twice && other == r.name():
			wrong.Add(field, "another route has the same host and path, %s", other)
		case twice && foldCase(other) == foldCase(r.name()):
			wrong.Add(field, "%s differs from the route %s only in case, which some servers ignore", r.name(), other)
		case twice:
			wrong.Add(field, "some servers treat %s as the route %s: they ignore dots at the end of a segment, or convert characters such as full-width ones", r.name(), other)
		}
		seen[loose] = r.name()
		for j, o := range r.Origins {
			if err := httpx.CheckOrigin(o); err != nil {
				wrong.Add(fmt.Sprintf("%s.Origins[%d]", field, j), "%w", err)
			}
		}
		wrong.AddBelow(field, checkExtractors(r.Extractors))
		wrong.AddBelow(field, r.checkAppParameters())
		wrong.AddBelow(field, r.checkAnyOrigin())
		wrong.AddBelow(field, r.checkCORS())
		if r.Assertion != "" {
			wrong.AddBelow(field, checkAsserting(keys))
		}
		routes[i] = filled
	}
	return routes, wrong
}

// clone returns a deep copy of r, so that Update recognizes changes that the
// caller makes in lists and maps.
func (r Route) clone() Route {
	r.Upstreams, r.Scopes, r.Extractors = slices.Clone(r.Upstreams), slices.Clone(r.Scopes), slices.Clone(r.Extractors)
	r.AppParameters, r.Origins, r.Headers = slices.Clone(r.AppParameters), slices.Clone(r.Origins), maps.Clone(r.Headers)
	r.Claims = maps.Clone(r.Claims)
	for name, values := range r.Claims {
		r.Claims[name] = slices.Clone(values)
	}
	if r.CORS != nil {
		c := *r.CORS
		c.Origins, c.Methods, c.Headers, c.Expose = slices.Clone(c.Origins), slices.Clone(c.Methods), slices.Clone(c.Headers), slices.Clone(c.Expose)
		r.CORS = &c
	}
	return r
}

// byValue returns a copy of extractors with values in place of pointers, for
// the types that a proxy looks for. A guard does the same.
func byValue(extractors []wsauth.Extractor) []wsauth.Extractor {
	extractors = slices.Clone(extractors)
	for i, e := range extractors {
		switch p := e.(type) {
		case *wsauth.Cookies:
			if p != nil {
				extractors[i] = *p
			}
		case *wsauth.Ticket:
			if p != nil {
				extractors[i] = *p
			}
		case *wsauth.FirstMessage:
			if p != nil {
				extractors[i] = *p
			}
		}
	}
	return extractors
}

// checkAsserting returns a fault if the signing key is a secret: an upstream
// that could verify assertions with it could also issue tokens. Package login
// reports a missing key.
func checkAsserting(keys Keys) fault.List {
	var wrong fault.List
	if set, fixed := keys.(*token.KeySet); keys == nil || fixed && set == nil {
		return nil
	}
	key, err := keys.SigningKey()
	if err != nil {
		return nil
	}
	if _, err := key.Public(); err != nil {
		wrong.Add("Assertion", "the signing key is a secret (%s), and an upstream that could verify with it could also issue tokens: sign with a key pair, which \"wsauth keys generate --lead=0s\" generates, or leave the assertion out", key.Algorithm())
	}
	return wrong
}

// checkExtractors returns the faults that a guard would find in the extractors
// of a route.
func checkExtractors(extractors []wsauth.Extractor) fault.List {
	var wrong fault.List
	for i, l := range extractors {
		field := fmt.Sprintf("Extractors[%d]", i)
		if err := tryExtractors(l); err != nil {
			wrong.Add(field, "%w", err)
			continue
		}
		for _, other := range extractors[:i] {
			if tryExtractors(other) == nil && tryExtractors(other, l) != nil {
				wrong.Add(field, "it overlaps with another extractor, so every credential would be found twice; remove one of the two")
				break
			}
		}
	}
	return wrong
}

// checkAppParameters checks the application's parameters, on their own and
// together with those of the extractors.
func (r *Route) checkAppParameters() fault.List {
	var wrong fault.List
	if r.Public && len(r.AppParameters) > 0 {
		wrong.Add("AppParameters", "a public route reads no parameters; remove the setting")
	}
	for i, name := range r.AppParameters {
		c := wsauth.Config{Verifier: rejectAll{}, Tickets: memory.New(store.Limits{Revocations: 1}), Extractors: r.readExtractors(), AppParameters: []string{name}}
		c.Extractors = slices.DeleteFunc(slices.Clone(c.Extractors), func(l wsauth.Extractor) bool { return tryExtractors(l) != nil })
		if _, err := wsauth.New(c); err != nil {
			_, text, _ := strings.Cut(err.Error(), "AppParameters[0]: ")
			wrong.Add(fmt.Sprintf("AppParameters[%d]", i), "%s", text)
		}
		if slices.Contains(r.AppParameters[:i], name) {
			wrong.Add(fmt.Sprintf("AppParameters[%d]", i), "%s is listed twice; remove one of the two", name)
		}
	}
	return wrong
}

// checkAnyOrigin refuses AnyOrigin on a route that accepts cookies.
func (r *Route) checkAnyOrigin() fault.List {
	var wrong fault.List
	if !r.AnyOrigin {
		return nil
	}
	if len(r.Origins) > 0 {
		wrong.Add("AnyOrigin", "any cannot be combined with other origins: remove one of the two")
	}
	isCookies := func(l wsauth.Extractor) bool {
		_, ok := l.(wsauth.Cookies)
		return ok
	}
	if !r.Public && slices.ContainsFunc(r.readExtractors(), isCookies) {
		wrong.Add("AnyOrigin", "any: this route accepts cookies, which browsers send on their own, so any web site could open sockets as its visitors: list the origins, or remove cookie from the extractors")
	}
	return wrong
}

// readExtractors returns the extractors that read the credentials of the route.
func (r *Route) readExtractors() []wsauth.Extractor {
	if r.Extractors != nil {
		return r.Extractors
	}
	return defaultExtractors()
}

// defaultExtractors returns the extractors of a route without
// [Route.Extractors].
func defaultExtractors() []wsauth.Extractor {
	return []wsauth.Extractor{wsauth.Header{}, wsauth.Ticket{}, wsauth.Cookies{}}
}

// takesTickets reports whether clients can use tickets on the route.
func (r *Route) takesTickets() bool {
	return !r.Public && slices.ContainsFunc(r.readExtractors(), isTicket)
}

// tryExtractors returns the error of [wsauth.New] for these extractors, without
// its prefix.
func tryExtractors(extractors ...wsauth.Extractor) error {
	_, err := wsauth.New(wsauth.Config{Verifier: rejectAll{}, Tickets: memory.New(store.Limits{Revocations: 1}), Extractors: extractors})
	if err == nil {
		return nil
	}
	text := strings.TrimPrefix(err.Error(), "wsauth: Config.Extractors[0]: ")
	return errors.New(strings.ReplaceAll(text, "\n", "; "))
}

// rejectAll is a verifier that refuses every token. It is used to check a
// configuration.
type rejectAll struct{}

// Verify returns [token.ErrMalformed].
func (rejectAll) Verify(context.Context, string) (*token.Claims, error) {
	return nil, &token.Error{Kind: token.ErrMalformed}
}
