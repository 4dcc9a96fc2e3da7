package gateway

import (
	"iter"
	"net"
	"net/http"
	"strings"
)

// A router finds the route of a request. It does not change.
type router struct {
	exact    map[string]paths // by host
	below    map[string]paths // by the host that others are below: *.app.example is "app.example" here
	anywhere paths
	loose    *router // by paths as loosen makes them
}

// paths are the routes of one host, by their paths without the slash at the
// end: of the route "/chat/" that is "/chat", and of "/" it is "".
type paths struct {
	exact map[string]*proxy // "/chat" is that path alone
	below map[string]*proxy // "/chat/", and all that is below it
	rules *rules            // of all of them
}

// rules are what several routes ask for.
type rules struct {
	first *Route // nil before there is one
	mixed bool   // another one asks for something else
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

// newRouterBy makes a router of the paths as they are written in some way.
func newRouterBy(proxies []*proxy, written func(path string) string) *router {
	t := &router{exact: map[string]paths{}, below: map[string]paths{}, anywhere: newPaths()}
	for _, p := range proxies {
		of := t.anywhere
		if host, ok := strings.CutPrefix(p.route.Host, "*."); ok {
			of = ofHost(t.below, host)
		} else if host != "" {
			of = ofHost(t.exact, host)
		}
		if path, ok := strings.CutSuffix(p.route.Path, "/"); ok {
			of.below[written(path)] = p
		} else {
			of.exact[written(path)] = p
		}
		of.rules.add(&p.route)
	}
	return t
}

func newPaths() paths { return paths{map[string]*proxy{}, map[string]*proxy{}, new(rules)} }

func ofHost(all map[string]paths, host string) paths {
	if _, ok := all[host]; !ok {
		all[host] = newPaths()
	}
	return all[host]
}

// find returns the proxy of a request whose path is plain; nil if there is none. Once a host has routes of its own, only they
// count for it, and those of no host where none of its own does.
func (t *router) find(r *http.Request) *proxy { return t.lookUp(hostOf(r), r.URL.Path) }

// lookUp returns the proxy of a path.
func (t *router) lookUp(host, path string) *proxy {
	bare, slash := strings.CutSuffix(path, "/")
	return t.lookUpBare(host, bare, slash)
}

// lookUpBare returns the proxy of a path without the slash at its end. slash
// says that there was one.
func (t *router) lookUpBare(host, bare string, slash bool) *proxy {
	for of := range t.of(host) {
		if p := of.find(bare, slash); p != nil {
			return p
		}
	}
	return nil
}

// hasOneRule reports whether all routes that may serve a host let in the same
// clients.
func (t *router) hasOneRule(host string) bool {
	var all rules
	mixed := false
	for of := range t.of(host) {
		if of.rules != nil && of.rules.first != nil {
			all.add(of.rules.first)
			mixed = mixed || of.rules.mixed
		}
	}
	return !mixed && !all.mixed
}

// of yields the routes that may serve a host, in the order in which they
// count.
func (t *router) of(host string) iter.Seq[paths] {
	return func(yield func(paths) bool) {
		if !yield(t.exact[host]) {
			return
		}
		for name := host; ; {
			_, rest, more := strings.Cut(name, ".")
			if !more {
				break
			}
			if !yield(t.below[rest]) {
				return
			}
			name = rest
		}
		yield(t.anywhere)
	}
}

func (of paths) find(bare string, slash bool) *proxy {
	at := of.exact
	if slash {
		at = of.below
	}
	if p := at[bare]; p != nil {
		return p
	}
	for end := strings.LastIndexByte(bare, '/'); end >= 0; end = strings.LastIndexByte(bare[:end], '/') {
		if p := of.below[bare[:end]]; p != nil {
			return p
		}
	}
	return nil
}

// bypassed returns the guarded route that a request would get around if the
// upstream of p, which its target leads to, reads paths loosely (R13): without
// capitals, with or without a slash at the end, or up to an escaped "?" or
// "#". It returns nil if there is none. A path that is written exactly as
// that of its route is meant so.
func (t *router) bypassed(at target, p *proxy) *proxy {
	if p.route.Path == at.path {
		return nil
	}
	bare := loosen(at.path)
	var found *proxy
	for _, slash := range [...]bool{false, true} {
		other := t.loose.lookUpBare(at.host, bare, slash)
		if other == nil || other == p || other.route.Public {
			continue
		}
		if found = other; isTwin(at.path, other.route.Path) {
			break
		}
	}
	return found
}

// isTwin reports whether two paths differ by a slash at the end only.
func isTwin(a, b string) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	return len(a) == len(b)+1 && a[len(b)] == '/' && a[:len(b)] == b
}

// hostOf is the host that r names, as routes name it: without a port, in small letters, and without the dot of a full name.
func hostOf(r *http.Request) string {
	host := r.Host
	if strings.Contains(host, ":") { // an error of SplitHostPort is allocated
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}
