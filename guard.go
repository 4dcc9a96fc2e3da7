package wsauth

import (
	"context"
	"fmt"
	"net/http"
	"sync"
)

// A Guard authenticates requests and ends the sockets whose right has ended.
// It is safe for concurrent use.
type Guard struct {
	config Config

	mu       sync.Mutex
	sessions map[*Session]struct{} // open sockets
	closing  bool
	idle     chan struct{} // closed when the last socket is gone, while closing
}

// New makes a guard. It reports every fault of the configuration at once.
func New(c Config) (*Guard, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Guard{config: c, sessions: map[*Session]struct{}{}, idle: make(chan struct{})}, nil
}

// Require wraps a handler so that only requests which satisfy q reach it,
// plain HTTP and WebSocket handshakes alike. Any WebSocket library will do
// inside: the guard ends the sockets that it opens.
//
// The handler finds claims and session with [SessionFrom].
//
// A handshake's handler runs in a goroutine of its own, with an
// http.ResponseWriter of the guard's, and its request's context ends with the
// socket: it keeps the values of the one that came in, not its end. A
// middleware in front of the guard therefore sees the handshake only, and
// returns before the handler does; one that recovers, measures or counts
// sockets belongs behind the guard.
//
// Require panics where q is none of the four requirements.
func (g *Guard) Require(q Requirement) func(http.Handler) http.Handler {
	if !q.valid() {
		panic(fmt.Sprintf("wsauth: Require(%v)", q))
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			claims, err := g.Check(r, q)
			if err != nil {
				g.Refuse(w, r, err)
				return
			}
			g.serve(w, r, claims, next)
		})
	}
}

// Shutdown ends every open socket with close code 1012 and reason
// "restarting", refuses new ones, and waits until their connections are gone or
// ctx is done, whose error it then returns. It waits for no handler, and ends no
// plain HTTP request: [http.Server.Shutdown] does that, and knows nothing of
// sockets. Call both.
func (g *Guard) Shutdown(ctx context.Context) error {
	g.mu.Lock()
	if !g.closing {
		g.closing = true
		g.closeIdle()
	}
	open := make([]*Session, 0, len(g.sessions))
	for s := range g.sessions {
		open = append(open, s)
	}
	g.mu.Unlock()
	for _, s := range open {
		s.End(Restarting.End(nil))
	}
	select {
	case <-g.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// remember notes an open socket; it reports false once the guard is closing.
func (g *Guard) remember(s *Session) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return false
	}
	s.admitted = true
	g.sessions[s] = struct{}{}
	return true
}

func (g *Guard) forget(s *Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.sessions, s)
	g.closeIdle()
}

func (g *Guard) closeIdle() {
	if g.closing && len(g.sessions) == 0 {
		select {
		case <-g.idle:
		default:
			close(g.idle)
		}
	}
}
