package gateway

import (
	"net"
	"net/http"
	"strings"
)

// A router finds the route of a request. It does not change.
type router struct {
	exact    map[string]paths // by host
	below    map[string]paths // by the host that others are below: *.app.example is "app.example" here
	anywhere paths
	loose    *router // by paths without capitals
}

// paths are the routes of one host.
type paths struct {
	exact map[string]*proxy // "/chat" is that path alone
	below map[string]*proxy // "/chat/", and all that is below it
}

func newRouter(proxies []*proxy) *router {
	t := newRouterBy(proxies, func(path string) string { return path })
	t.loose = newRouterBy(proxies, foldCase)
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
		if path := written(p.route.Path); strings.HasSuffix(path, "/") {
			of.below[path] = p
		} else {
			of.exact[path] = p
		}
	}
	return t
}

func newPaths() paths { return paths{map[string]*proxy{}, map[string]*proxy{}} }

func ofHost(all map[string]paths, host string) paths {
	if _, ok := all[host]; !ok {
		all[host] = newPaths()
	}
	return all[host]
}

// find returns the proxy of a request whose path is plain; nil if there is none. Once a host has routes of its own, only they
// count for it, and those of no host where none of its own does.
func (t *router) find(r *http.Request) *proxy { return t.lookUp(hostOf(r), r.URL.Path) }

func (t *router) lookUp(host, path string) *proxy {
	if p := t.exact[host].find(path); p != nil {
		return p
	}
	for name := host; ; {
		_, rest, more := strings.Cut(name, ".")
		if !more {
			break
		}
		if p := t.below[rest].find(path); p != nil {
			return p
		}
		name = rest
	}
	return t.anywhere.find(path)
}

// isEvasive reports whether the path of a request comes to p past the guard of another route, which it names for a server that reads
// paths loosely: without capitals, without the slash at the end, or up to an escaped "?" or "#". Such a server may be the upstream of
// p (R13). A path that is written as that of its own route is meant so.
func (t *router) isEvasive(r *http.Request, p *proxy) bool {
	if p.route.Path == r.URL.Path {
		return false
	}
	path := foldCase(r.URL.Path)
	if end := strings.IndexAny(path, "?#"); end >= 0 {
		path = path[:end]
	}
	host := hostOf(r)
	for _, reading := range [...]string{path, strings.TrimSuffix(path, "/")} {
		if other := t.loose.lookUp(host, reading); other != nil && other != p && !other.route.Public {
			return true
		}
	}
	return false
}

// foldCase makes one of all spellings of s that differ in capitals; there are letters that have one only as capitals, and others only
// as small ones.
func foldCase(s string) string { return strings.ToLower(strings.ToUpper(s)) }

func (of paths) find(path string) *proxy {
	if p := of.exact[path]; p != nil {
		return p
	}
	for end := len(path); end > 0; {
		end = strings.LastIndexByte(path[:end], '/')
		if p := of.below[path[:end+1]]; p != nil {
			return p
		}
	}
	return nil
}

// hostOf is the host that r names, as routes name it: without a port, in small letters, and without the dot of a full name.
func hostOf(r *http.Request) string {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}
