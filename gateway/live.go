package gateway

import (
	"errors"
	"maps"
	"net/http"
	"sync"
	"unique"

	"wsauth"
)

// live are the open sockets and endless answers, each with what serves it.
type live struct {
	mu sync.Mutex
	of map[*wsauth.Socket]served
}

// served says what serves a socket: a route, and of its upstreams one, "" where nobody knows which.
type served struct {
	proxy    *proxy
	upstream string
	at       unique.Handle[target]
}

// A target is what the route of a request is found by.
type target struct{ host, path string }

func targetOf(r *http.Request) target { return target{hostOf(r), r.URL.Path} }

// add notes a socket that was opened at a target. It ends by itself where the
// routes have changed meanwhile and do not let it in any more.
func (l *live) add(s *wsauth.Socket, at target, p *proxy, upstream string) {
	l.mu.Lock()
	if l.of == nil {
		l.of = map[*wsauth.Socket]served{}
	}
	l.of[s] = served{p, upstream, unique.Make(at)}
	l.mu.Unlock()
	p.review(s, at)
}

// review ends a socket that may not stay with the claims that it has just got:
// the routes may have been replaced after the renewal asked the old ones.
// Either [Gateway.Update] finds the new claims, or the new routes are found
// here.
func (l *live) review(s *wsauth.Socket) {
	if by := l.find(s); by.proxy != nil {
		by.proxy.review(s, by.at.Value())
	}
}

// review ends a socket that may not stay.
func (p *proxy) review(s *wsauth.Socket, at target) {
	if p.outdated(s, at) {
		s.End(wsauth.Restarting.End(errors.New("its route is gone, or lets it in no more")))
	}
}

// outdated reports whether the routes have changed since p became one of them,
// and s, which p serves, may not stay.
func (p *proxy) outdated(s *wsauth.Socket, at target) bool {
	return p.aged.Load() && !p.gateway.routing.Load().stands(s, p, at)
}

func (l *live) remove(s *wsauth.Socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.of, s)
}

// find says what serves a socket; it is zero where it is not tied to an upstream yet, or not any more.
func (l *live) find(s *wsauth.Socket) served {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of[s]
}

// all is a copy of what is open now.
func (l *live) all() map[*wsauth.Socket]served {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.of)
}
