// Package demo implements the demonstration that the gateway serves if it has
// no routes: an echo socket, a page that shows what happens to it and why, and
// the gateway's API as forms. The echo server is behind a route like any other
// upstream; the gateway makes that route.
package demo

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"sync"
	"time"
)

// Users is a login.Authenticator with one user, whose name and password are
// both "test". These are public, so use it on loopback addresses only.
type Users struct{}

// Authenticate checks a name and a password.
func (Users) Authenticate(_ context.Context, name, password string) (bool, error) {
	return equal(name, "test")&equal(password, "test") == 1, nil
}

// equal returns 1 if a and b are equal, and 0 otherwise. It takes constant
// time, whatever their contents and lengths.
func equal(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}

// header is the name of the header that tells the server which announced socket
// a handshake belongs to. Its values cannot be guessed.
const header = "X-Wsauth-Demo"

// A Server is the echo server, in this process. Unlike other upstreams, it has
// access to the guard's socket, so it can send the claims and announce
// renewals.
type Server struct {
	listener *pipeListener
	server   *http.Server
	serving  sync.WaitGroup

	mu sync.Mutex
	// announced holds the contexts of guarded requests on their way to serve,
	// by the value of header.
	announced map[string]context.Context
}

// Start starts a server. Close stops it.
func Start() *Server {
	s := &Server{listener: newPipeListener(), announced: map[string]context.Context{}}
	s.server = &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 5 * time.Second}
	s.serving.Go(func() { _ = s.server.Serve(s.listener) }) // it returns after Close
	return s
}

// Close stops the server. Its sockets must have ended.
func (s *Server) Close() {
	_ = s.server.Close() // a pipeListener closes without error
	s.serving.Wait()
}

// Dial connects to the server.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) { return s.listener.Dial(ctx) }

// Announce prepares the server for a handshake. ctx is the context of the
// guarded socket. Announce returns a header field that the handshake must
// carry, by which the server recognizes it.
func (s *Server) Announce(ctx context.Context) (name, value string) {
	id := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.announced[id] = ctx
	context.AfterFunc(ctx, func() { s.take(id) }) // in case it never arrives
	return header, id
}

// take returns the context of an announced handshake, once, and nil for any
// other.
func (s *Server) take(id string) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx := s.announced[id]
	delete(s.announced, id)
	return ctx
}

// serve answers requests from the gateway, which are all handshakes.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	ctx := s.take(r.Header.Get(header))
	if ctx == nil {
		http.Error(w, "the handshake was not announced", http.StatusForbidden)
		return
	}
	s.serving.Add(1)
	defer s.serving.Done()
	echo(w, r.WithContext(ctx))
}

// A pipeListener is a net.Listener without a network. Each Dial creates a
// pipe; Accept returns the other end of it.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects to the listener. It blocks until the connection is accepted.
func (l *pipeListener) Dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept waits for the next call of Dial.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close makes Accept and Dial fail with net.ErrClosed.
func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns a placeholder address.
func (*pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "demo", Net: "unix"} }
