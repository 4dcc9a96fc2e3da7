package gateway

import (
	"errors"
	"maps"
	"sync"

	"wsauth"
)

// live are the open sockets and endless answers, each with what serves it.
type live struct {
	mu sync.Mutex
	of map[*wsauth.Session]served
}

// served says what serves a socket: a route, and of its upstreams one, "" where nobody knows which.
type served struct {
	proxy    *proxy
	upstream string
}

// add notes a socket. It ends by itself where the proxy was replaced meanwhile and does not let it in any more.
func (l *live) add(s *wsauth.Session, p *proxy, upstream string) {
	l.mu.Lock()
	if l.of == nil {
		l.of = map[*wsauth.Session]served{}
	}
	l.of[s] = served{p, upstream}
	l.mu.Unlock()
	p.review(s)
}

// review ends those of some sockets, whose claims have just been renewed, that may not stay with them: the routes may have been replaced
// after the renewal had asked the old ones. Either [Gateway.Update] finds the new claims, or the new routes are found here.
func (l *live) review(sessions []*wsauth.Session) {
	for _, s := range sessions {
		if p := l.find(s).proxy; p != nil {
			p.review(s)
		}
	}
}

// review ends a socket that may not stay.
func (p *proxy) review(s *wsauth.Session) {
	if p.outdated(s) {
		s.End(wsauth.Restarting.End(errors.New("its route is gone, or lets it in no more")))
	}
}

// outdated reports whether the proxy was replaced since it began to serve s, and s may not stay.
func (p *proxy) outdated(s *wsauth.Session) bool {
	return p.replaced.Load() && !p.gateway.routing.Load().stands(s, p)
}

func (l *live) remove(s *wsauth.Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.of, s)
}

// find says what serves a socket; it is zero where it is not tied to an upstream yet, or not any more.
func (l *live) find(s *wsauth.Session) served {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of[s]
}

// all is a copy of what is open now.
func (l *live) all() map[*wsauth.Session]served {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.of)
}
