package wsauth

import (
	"context"
	"sync"
	"time"
)

type socketKey struct{}

// SocketFrom returns the socket that a guard put into ctx, the context of a
// guarded request; nil if there is none.
func SocketFrom(ctx context.Context) *Socket {
	s, _ := ctx.Value(socketKey{}).(*Socket)
	return s
}

// Context returns a context with the values of the handshake's, and with the
// socket for [SocketFrom]. It is cancelled at the end of the socket, with the
// [*EndError] as its [context.Cause]: as soon as the server is to know, which
// is after the close frame was sent if it can be. It does not end with the
// context of the handshake. It is made when it is first asked for.
func (s *Socket) Context() context.Context { return s.context.get((*values)(s)) }

// A socketContext makes the context of a socket when it is asked for.
type socketContext struct {
	request context.Context // of the request

	mu     sync.Mutex // guards what follows
	made   context.Context
	cancel context.CancelCauseFunc
	cause  error // of the end; nil before it
}

// get returns the context. If there is none yet, it makes one below parent.
func (c *socketContext) get(parent context.Context) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil {
		c.made, c.cancel = context.WithCancelCause(parent)
		if c.cause != nil {
			c.cancel(c.cause)
		}
	}
	return c.made
}

// end cancels the context, whether it was made already or not. The first cause
// stays.
func (c *socketContext) end(cause error) {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = cause
	}
	cancel := c.cancel
	c.mu.Unlock()
	if cancel != nil {
		cancel(cause)
	}
}

// values is a context with the values of a socket's request, and without its
// end.
type values Socket

// Deadline implements [context.Context].
func (*values) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Done implements [context.Context].
func (*values) Done() <-chan struct{} { return nil }

// Err implements [context.Context].
func (*values) Err() error { return nil }

// Value implements [context.Context].
func (v *values) Value(key any) any {
	if key == (socketKey{}) {
		return (*Socket)(v)
	}
	return v.context.request.Value(key)
}
