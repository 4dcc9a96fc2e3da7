package gateway

import (
	"maps"
	"sync"

	"wsauth"
)

// live are the open sockets and endless answers, each with the proxy that serves it.
type live struct {
	mu sync.Mutex
	of map[*wsauth.Session]*proxy
}

// add notes a socket. It ends by itself where the proxy was replaced meanwhile and does not let it in any more.
func (l *live) add(s *wsauth.Session, p *proxy) {
	l.mu.Lock()
	if l.of == nil {
		l.of = map[*wsauth.Session]*proxy{}
	}
	l.of[s] = p
	l.mu.Unlock()
	if p.replaced.Load() && !p.gateway.routing.Load().stands(s, p) {
		s.End(wsauth.Restarting.End(nil))
	}
}

func (l *live) remove(s *wsauth.Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.of, s)
}

// all is a copy of what is open now.
func (l *live) all() map[*wsauth.Session]*proxy {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.of)
}
