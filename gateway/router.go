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
}

// paths are the routes of one host.
type paths struct {
	exact map[string]*proxy // "/chat" is that path alone
	below map[string]*proxy // "/chat/", and all that is below it
}

func newRouter(proxies []*proxy) *router {
	t := &router{exact: map[string]paths{}, below: map[string]paths{}, anywhere: newPaths()}
	for _, p := range proxies {
		of := t.anywhere
		if host, ok := strings.CutPrefix(p.route.Host, "*."); ok {
			of = ofHost(t.below, host)
		} else if host != "" {
			of = ofHost(t.exact, host)
		}
		if strings.HasSuffix(p.route.Path, "/") {
			of.below[p.route.Path] = p
		} else {
			of.exact[p.route.Path] = p
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
func (t *router) find(r *http.Request) *proxy {
	host := hostOf(r)
	if p := t.exact[host].find(r.URL.Path); p != nil {
		return p
	}
	for name := host; ; {
		_, rest, more := strings.Cut(name, ".")
		if !more {
			break
		}
		if p := t.below[rest].find(r.URL.Path); p != nil {
			return p
		}
		name = rest
	}
	return t.anywhere.find(r.URL.Path)
}

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
