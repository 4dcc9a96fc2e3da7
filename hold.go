package wsauth

import (
	"context"
	"errors"
)

// Hold turns the plain HTTP request with the context ctx into an open socket.
// It is for endless responses, such as server-sent events. From then on the
// request is treated as a socket: [SocketFrom] returns it, it counts against
// limits, and revocations and logouts find it. It stays open while its session
// is renewed, and ends when its token expires. At the end its context is
// canceled with the [EndError] as its cause, and the handler must return.
//
// An [*Error] means that the request must not continue: the token has been
// revoked in the meantime, a limit is reached, or the guard is shutting down.
// Hold also fails if it is called twice, after [Follow], or for a request that
// no guard has checked. For a WebSocket it does nothing.
func Hold(ctx context.Context) error {
	s := requestFrom(ctx)
	if s == nil {
		return errors.New("wsauth: Hold: no guard has checked the request")
	}
	if s.ender != nil {
		return nil
	}
	if s.followed != nil {
		return errors.New("wsauth: Hold: the request is followed")
	}
	if !s.held.CompareAndSwap(false, true) {
		return errors.New("wsauth: Hold: called twice")
	}
	if err := s.guard.admit(s); err != nil {
		return err
	}
	s.Opened()
	return nil
}

// release ends a plain HTTP request whose handler has returned.
func (s *Socket) release() {
	if s.held.Load() {
		s.Closed()
		return
	}
	s.unfollow()
	s.context.end(nil)
}
