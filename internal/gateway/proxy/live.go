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
	mu     sync.Mutex
	routes map[*wsauth.Socket]socketRoute
}

// A socketRoute is the route that serves a socket, with the address of the
// upstream, which is "" if it is not known.
type socketRoute struct {
	proxy    *proxy
	upstream string
	key      unique.Handle[routeKey]
}

// A routeKey is the part of a request that determines its route.
type routeKey struct{ host, path string }

func routeKeyOf(r *http.Request) routeKey { return routeKey{hostOf(r), r.URL.Path} }

// add records a socket and the route that serves it. It ends the socket if the
// routes have changed in the meantime and no longer admit it.
func (l *liveSockets) add(s *wsauth.Socket, key routeKey, p *proxy, upstream string) {
	l.mu.Lock()
	if l.routes == nil {
		l.routes = map[*wsauth.Socket]socketRoute{}
	}
	l.routes[s] = socketRoute{p, upstream, unique.Make(key)}
	l.mu.Unlock()
	p.review(s, key)
}

func (l *liveSockets) remove(s *wsauth.Socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.routes, s)
}

// find returns the route and the upstream that serve a socket. It returns the
// zero value if the socket is not connected to an upstream.
func (l *liveSockets) find(s *wsauth.Socket) socketRoute {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.routes[s]
}

// all returns a copy of the map of open sockets.
func (l *liveSockets) all() map[*wsauth.Socket]socketRoute {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.routes)
}
