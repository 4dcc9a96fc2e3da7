package proxy

import (
	"iter"
	"net"
	"net/http"
	"strings"
)

// A router finds the route of a request. It is immutable.
type router struct {
	exact    map[string]*hostRoutes // by host
	below    map[string]*hostRoutes // by the host after the star: *.app.example is "app.example" here
	anywhere *hostRoutes
	loose    *router // the same routes by their loosened paths, see loosen
}

// hostRoutes are the routes of one host, by path without the final slash: the
// route "/chat/" has the key "/chat", and the route "/" the key "".
type hostRoutes struct {
	exact map[string]*proxy // routes without a final slash: "/chat" matches only itself
	below map[string]*proxy // routes with one: "/chat/" matches everything below it
	rules rules             // of all routes of the host

	longest int // length of the longest key of below
}

// rules compares the rules of several routes.
type rules struct {
	first *Route // nil before the first add
	mixed bool   // another route has other rules than first
}

func (u *rules) add(r *Route) {
	if u.first == nil {
		u.first = r
	}
	u.mixed = u.mixed || !u.first.hasRulesOf(r)
}

func newRouter(proxies []*proxy) *router {
	t := newRouterBy(proxies, func(path string) string { return path })
	t.loose = newRouterBy(proxies, loosen)
	return t
}

// newRouterBy returns a router whose keys are the paths of routes, converted
// by toKey.
func newRouterBy(proxies []*proxy, toKey func(path string) string) *router {
	t := &router{exact: map[string]*hostRoutes{}, below: map[string]*hostRoutes{}, anywhere: newHostRoutes()}
	for _, p := range proxies {
		routes := t.anywhere
		if host, ok := strings.CutPrefix(p.route.Host, "*."); ok {
			routes = routesOfHost(t.below, host)
		} else if host != "" {
			routes = routesOfHost(t.exact, host)
		}
		if path, ok := strings.CutSuffix(p.route.Path, "/"); ok {
			key := toKey(path)
			routes.below[key] = p
			routes.longest = max(routes.longest, len(key))
		} else {
			routes.exact[toKey(path)] = p
		}
		routes.rules.add(&p.route)
	}
	return t
}

func newHostRoutes() *hostRoutes {
	return &hostRoutes{exact: map[string]*proxy{}, below: map[string]*proxy{}}
}

func routesOfHost(all map[string]*hostRoutes, host string) *hostRoutes {
	if _, ok := all[host]; !ok {
		all[host] = newHostRoutes()
	}
	return all[host]
}

// lookUp returns the proxy of a plain path, or nil if there is none. The
// routes of the host come first, then those of wildcard hosts, then those of
// every host.
func (t *router) lookUp(host, path string) *proxy {
	bare, slash := strings.CutSuffix(path, "/")
	return t.lookUpBare(host, bare, slash)
}

// lookUpBare returns the proxy of a path without its final slash. slash
// reports whether there was one.
func (t *router) lookUpBare(host, bare string, slash bool) *proxy {
	for routes := range t.routesFor(host) {
		if p := routes.find(bare, slash); p != nil {
			return p
		}
	}
	return nil
}

// hasOneRule reports whether all routes that may serve host admit the same
// clients.
func (t *router) hasOneRule(host string) bool {
	var all rules
	mixed := false
	for routes := range t.routesFor(host) {
		if routes.rules.first != nil {
			all.add(routes.rules.first)
			mixed = mixed || routes.rules.mixed
		}
	}
	return !mixed && !all.mixed
}

// maxHost is the maximum length of the name of a host (RFC 1035 section
// 2.3.4), without a final dot.
const maxHost = 253

// routesFor yields the routes that may serve host, in order of precedence. A
// client chooses the host, so maxHost bounds the number of steps: a longer host
// matches only the routes for every host.
func (t *router) routesFor(host string) iter.Seq[*hostRoutes] {
	return func(yield func(*hostRoutes) bool) {
		if len(host) > maxHost {
			yield(t.anywhere)
			return
		}
		if routes := t.exact[host]; routes != nil && !yield(routes) {
			return
		}
		for name, more := host, len(t.below) > 0; more; {
			if _, name, more = strings.Cut(name, "."); !more {
				break
			}
			if routes := t.below[name]; routes != nil && !yield(routes) {
				return
			}
		}
		yield(t.anywhere)
	}
}

func (routes *hostRoutes) find(bare string, slash bool) *proxy {
	byKey := routes.exact
	if slash {
		byKey = routes.below
	}
	if p := byKey[bare]; p != nil {
		return p
	}
	bare = routes.reach(bare)
	for end := strings.LastIndexByte(bare, '/'); end >= 0; end = strings.LastIndexByte(bare[:end], '/') {
		if p := routes.below[bare[:end]]; p != nil {
			return p
		}
	}
	return nil
}

// reach returns the part of a path in which find looks for keys of below. It is
// not longer than the longest key and a slash. This bounds the steps of find: a
// client may send thousands of slashes.
func (routes *hostRoutes) reach(bare string) string { return bare[:min(len(bare), routes.longest+1)] }

// bypassed returns the guarded route that a request would bypass if the
// upstream of p, the route found for key, reads paths loosely (R13): ignoring
// case, with or without a final slash, or up to an escaped "?" or "#". It
// returns nil if there is none. A path that is spelled exactly like that of
// its route is never ambiguous.
func (t *router) bypassed(key routeKey, p *proxy) *proxy {
	if p.route.Path == key.path {
		return nil
	}
	bare := loosen(key.path)
	var found *proxy
	for _, slash := range [...]bool{false, true} {
		other := t.loose.lookUpBare(key.host, bare, slash)
		if other == nil || other == p || other.route.Public {
			continue
		}
		if found = other; isTwin(key.path, other.route.Path) {
			break
		}
	}
	return found
}

// isTwin reports whether two paths differ only in a final slash.
func isTwin(a, b string) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	return len(a) == len(b)+1 && a[len(b)] == '/' && a[:len(b)] == b
}

// hostOf returns the host of r as routes name it: without a port, in lower
// case, and without a final dot.
func hostOf(r *http.Request) string {
	host := r.Host
	if strings.Contains(host, ":") { // without a colon, SplitHostPort would allocate an error
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}
