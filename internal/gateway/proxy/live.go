package proxy

import (
	"maps"
	"net/http"
	"sync"
	"unique"

	"wsauth"
)

// liveSockets holds the open sockets and the plain requests that the guard
// follows, each with the route that serves it.
type liveSockets struct {
	mu sync.Mutex
	of map[*wsauth.Socket]servedBy
}

// A servedBy holds the route that serves a socket, and the address of the
// upstream, which is "" if it is not known.
type servedBy struct {
	proxy    *proxy
	upstream string
	at       unique.Handle[target]
}

// A target is the part of a request that determines its route.
type target struct{ host, path string }

func targetOf(r *http.Request) target { return target{hostOf(r), r.URL.Path} }

// add records a socket that was opened at a target. It ends the socket if the
// routes have changed in the meantime and no longer admit it.
func (l *liveSockets) add(s *wsauth.Socket, at target, p *proxy, upstream string) {
	l.mu.Lock()
	if l.of == nil {
		l.of = map[*wsauth.Socket]servedBy{}
	}
	l.of[s] = servedBy{p, upstream, unique.Make(at)}
	l.mu.Unlock()
	p.review(s, at)
}

func (l *liveSockets) remove(s *wsauth.Socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.of, s)
}

// find returns the route and the upstream that serve a socket. It returns the
// zero value if the socket is not connected to an upstream.
func (l *liveSockets) find(s *wsauth.Socket) servedBy {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of[s]
}

// all returns a copy of the map of open sockets.
func (l *liveSockets) all() map[*wsauth.Socket]servedBy {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.of)
}
