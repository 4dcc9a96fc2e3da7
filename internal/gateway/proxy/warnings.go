package proxy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"wsauth"
	"wsauth/internal/gateway/fault"
	"wsauth/internal/hostaddr"
)

// Warnings returns the settings of routes and of the site that are valid but
// may be unintended.
func Warnings(routes []Route, site Site) fault.List {
	var all fault.List
	table, _ := routerOf(routes)
	for i := range routes {
		r, field := &routes[i], fmt.Sprintf("Routes[%d]", i)
		warnOfSockets(&all, field, r, routes)
		warnOfPathsBelow(&all, field, r, table)
		warnOfOtherHosts(&all, field, r, table)
		warnOfTwins(&all, field, i, routes)
	}
	site.warnOfCORS(&all, routes)
	return all
}

// warnOfOtherHosts warns of a guarded route with a host if clients can bypass
// it by naming another host. They can if a weaker route, for every host or for
// a domain above the host, leads to the same path of the same server.
func warnOfOtherHosts(to *fault.List, field string, r *Route, table *router) {
	if r.Host == "" || !r.isGuarded() {
		return
	}
	for of := range table.routesFor(sampleHost(r.Host)) {
		p := of.find(strings.CutSuffix(r.Path, "/"))
		if p == nil || p.route.Host == r.Host || p.route.isAsStrictAs(r) {
			continue
		}
		by, where := "one that no route names", "every host"
		if below, ok := strings.CutPrefix(p.route.Host, "*."); ok {
			by, where = "another one below "+below, p.route.Host
		} else if p.route.Host != "" {
			continue // a single host, which the server is expected to recognize
		}
		if at := sharedUpstream(r, &p.route); at != "" {
			to.Add(field+".Host", "clients can send any host: with %s they reach %s at this path through the route %s, which admits more clients; unless that server distinguishes hosts, guard the path for %s as well", by, at, p.route.name(), where)
			return
		}
	}
}

// warnOfTwins warns of a route whose path differs from that of an earlier
// route only in ways that some servers ignore, if the two have different
// rules.
func warnOfTwins(to *fault.List, field string, i int, routes []Route) {
	r := &routes[i]
	for j := range routes[:i] {
		other := &routes[j]
		if loosen(r.Path) != loosen(other.Path) || !hostsMeet(r.Host, other.Host) || sharedUpstream(r, other) == "" || r.hasRulesOf(other) {
			continue
		}
		to.Add(field+".Path", "many servers treat %s and the route %s as the same path, but their rules differ: a client that one of them admits reaches what is behind both", r.name(), other.name())
	}
}

// hasRulesOf reports whether two routes admit the same clients.
func (r *Route) hasRulesOf(other *Route) bool {
	return r.Public == other.Public && r.Sockets == other.Sockets && r.Requirement == other.Requirement && reflect.DeepEqual(r.Scopes, other.Scopes) &&
		reflect.DeepEqual(r.Claims, other.Claims) && reflect.DeepEqual(r.Extractors, other.Extractors)
}

// hostsMeet reports whether a request may match the hosts of both routes.
func hostsMeet(a, b string) bool {
	if a == "" || b == "" || a == b {
		return true
	}
	covers := func(wide, host string) bool {
		below, ok := strings.CutPrefix(wide, "*")
		return ok && strings.HasSuffix(host, below)
	}
	return covers(a, b) || covers(b, a)
}

// routerOf returns a router for routes that are only compared, and their
// proxies.
func routerOf(routes []Route) (*router, []*proxy) {
	proxies := make([]*proxy, len(routes))
	for i, r := range routes {
		proxies[i] = &proxy{route: r}
	}
	return newRouter(proxies), proxies
}

// A Redirect is a path that is answered with 307, to the path of a guarded
// route from which it differs only in a final slash.
type Redirect struct{ From, To string } // both include the host of the route

// Redirects returns the redirects to the paths of guarded routes.
func Redirects(routes []Route) []Redirect {
	var all []Redirect
	table, proxies := routerOf(routes)
	for i := range routes {
		r := &routes[i]
		twin, ok := strings.CutSuffix(r.Path, "/")
		if !ok {
			twin += "/"
		}
		if p := table.lookUp(sampleHost(r.Host), twin); !r.Public && twin != "" && p != nil && p != proxies[i] && p.route.Path != twin {
			all = append(all, Redirect{r.Host + twin, r.name()})
		}
	}
	return all
}

// warnOfSockets warns of a route that opens sockets for clients that another
// route to the same upstream would refuse.
func warnOfSockets(to *fault.List, field string, r *Route, routes []Route) {
	name, effect := field+".Sockets", "all clients can open sockets"
	switch {
	case r.Public && !r.Sockets:
		return
	case r.isGuarded():
		name, effect = field, "clients that this route admits can open sockets"
	case !r.Public:
		name, effect = field+".Requirement", "clients without a token can open sockets"
	}
	for i := range routes {
		other := &routes[i]
		if at := sharedUpstream(r, other); at != "" && other.isGuarded() && !r.isAsStrictAs(other) {
			to.Add(name, "%s on %s, which the route %s guards%s: many WebSocket servers accept any path, and would open here what that route guards", effect, at, other.name(), otherRules(r, other))
			return
		}
	}
}

// isAsStrictAs reports whether the guarded route other admits every client
// that r admits.
func (r *Route) isAsStrictAs(other *Route) bool {
	isFresher := r.Requirement == wsauth.Fresh && other.Requirement == wsauth.Access
	if !r.isGuarded() || r.Requirement != other.Requirement && !isFresher {
		return false
	}
	if !isSubset(other.Scopes, r.Scopes) {
		return false
	}
	for claim, values := range other.Claims {
		if own, ok := r.Claims[claim]; !ok || !isSubset(own, values) {
			return false
		}
	}
	return true
}

// isSubset reports whether every element of a is in b.
func isSubset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(v string) bool { return !slices.Contains(b, v) })
}

// otherRules returns the end of a warning: that the rules of other differ from
// those of r. It returns "" if r admits clients without a token.
func otherRules(r, other *Route) string {
	if !r.isGuarded() {
		return ""
	}
	return " with other rules"
}

// warnOfPathsBelow warns of a guarded route for a single path if everything
// below it is public on the same upstream. Many servers serve the same endpoint
// there, for example for long polling.
func warnOfPathsBelow(to *fault.List, field string, r *Route, table *router) {
	if !r.isGuarded() || strings.HasSuffix(r.Path, "/") {
		return
	}
	p := table.lookUp(sampleHost(r.Host), r.Path+"/x")
	if p == nil || p.route.isGuarded() || p.route.Path == r.Path+"/" {
		return
	}
	if at := sharedUpstream(r, &p.route); at != "" {
		to.Add(field+".Path", "everything below %[1]s is public by the route %[2]s: if the server at %[3]s serves the same endpoint there, for example for long polling, guard %[1]s/ as well", r.Path, p.route.name(), at)
	}
}

// isGuarded reports whether the route admits only clients with a token.
func (r *Route) isGuarded() bool { return !r.Public && r.Requirement != wsauth.Optional }

// sampleHost returns a host that matches the host of a route.
func sampleHost(host string) string {
	if below, ok := strings.CutPrefix(host, "*."); ok {
		return "x." + below
	}
	return host
}

// sharedUpstream returns an upstream of a, as a writes it, that is also one of
// b, or "" if there is none.
func sharedUpstream(a, b *Route) string {
	for _, one := range a.Upstreams {
		for _, other := range b.Upstreams {
			if hostaddr.Server(one) == hostaddr.Server(other) {
				return one
			}
		}
	}
	return ""
}
