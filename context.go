package wsauth

import (
	"context"
	"sync"
	"time"

	"wsauth/token"
)

type socketKey struct{}

// ClaimsFrom returns the claims of the request with the context ctx. For a
// socket, and for a response that is held open, they are those of the current
// token: a renewal replaces them. They are nil if the client is anonymous, or
// if no guard has checked the request.
func ClaimsFrom(ctx context.Context) *token.Claims {
	if s := requestFrom(ctx); s != nil {
		return s.Claims()
	}
	return nil
}

// SocketFrom returns the socket of the request with the context ctx. It is nil
// for a plain HTTP request, unless [Hold] holds its response open. It is also
// nil if no guard has checked the request.
func SocketFrom(ctx context.Context) *Socket {
	if s := requestFrom(ctx); s != nil && (s.ender != nil || s.held.Load()) {
		return s
	}
	return nil
}

// requestFrom returns the Socket that represents the request with the context
// ctx, which may be a plain HTTP request, or nil if no guard has checked it.
func requestFrom(ctx context.Context) *Socket {
	s, _ := ctx.Value(socketKey{}).(*Socket)
	return s
}

// Context returns a context with the values of the handshake's context, and
// with the socket for [SocketFrom]. It is canceled when the socket ends, with
// the [*EndError] as its [context.Cause], once the close frame has been sent or
// can no longer be sent. The end of the handshake's context does not cancel it.
// The first call creates it.
func (s *Socket) Context() context.Context { return s.context.get((*values)(s)) }

// A socketContext creates the context of a socket on demand.
type socketContext struct {
	request context.Context // of the handshake

	mu     sync.Mutex // guards the following fields
	made   context.Context
	cancel context.CancelCauseFunc
	cause  error // of the end; nil while the socket is open
}

// get returns the context. The first call creates it as a child of parent.
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

// end cancels the context, even if it is created later. Only the first cause
// has an effect.
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

// values implements [context.Context] with the values of a socket's request,
// without its deadline and cancellation.
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
