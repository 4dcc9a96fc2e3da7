package gateway

import (
	"errors"
	"maps"
	"net/http"
	"sync"
	"unique"

	"wsauth"
)

// live holds the open sockets and the plain requests that the guard follows,
// each with the route that serves it.
type live struct {
	mu sync.Mutex
	of map[*wsauth.Socket]served
}

// served says what serves a socket: a route, and the address of the upstream,
// which is "" if it is not known.
type served struct {
	proxy    *proxy
	upstream string
	at       unique.Handle[target]
}

// A target is the part of a request that determines its route.
type target struct{ host, path string }

func targetOf(r *http.Request) target { return target{hostOf(r), r.URL.Path} }

// add records a socket that was opened at a target. It ends the socket if the
// routes have changed in the meantime and no longer let it in.
func (l *live) add(s *wsauth.Socket, at target, p *proxy, upstream string) {
	l.mu.Lock()
	if l.of == nil {
		l.of = map[*wsauth.Socket]served{}
	}
	l.of[s] = served{p, upstream, unique.Make(at)}
	l.mu.Unlock()
	p.review(s, at)
}

// review ends a socket that may not stay open with the claims that it has just
// received: the routes may have been replaced after the renewal checked the
// old ones. Either [Gateway.Update] sees the new claims, or review sees the
// new routes.
func (l *live) review(s *wsauth.Socket) {
	if by := l.find(s); by.proxy != nil {
		by.proxy.review(s, by.at.Value())
	}
}

// review ends s if it may not stay open.
func (p *proxy) review(s *wsauth.Socket, at target) {
	if p.outdated(s, at) {
		s.End(wsauth.Restarting.End(errors.New("its route is gone, or lets it in no more")))
	}
}

// outdated reports whether s, which p serves, may not stay open because the
// routes have changed since p became one of them.
func (p *proxy) outdated(s *wsauth.Socket, at target) bool {
	return p.aged.Load() && !p.gateway.routing.Load().stands(s, p, at)
}

func (l *live) remove(s *wsauth.Socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.of, s)
}

// find returns what serves a socket. It returns the zero value if the socket
// is not connected to an upstream.
func (l *live) find(s *wsauth.Socket) served {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of[s]
}

// all returns a copy of the map of open sockets.
func (l *live) all() map[*wsauth.Socket]served {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.of)
}
