package wsauth

import "errors"

// Hold turns a plain HTTP request with an endless response, such as
// server-sent events, into an open socket. From then on it counts as a socket
// and is found by revocations and logouts. It stays open while its session is
// renewed, and ends when its token expires. At the end its context is
// cancelled with the [EndError] as its cause, and the handler must return.
//
// An [*Error] means that the request must not continue: the token has been
// revoked in the meantime, a limit is reached, or the guard is shutting down.
// Hold also fails if it is called twice or after [Socket.Follow]. For an open
// socket it does nothing.
func (s *Socket) Hold() error {
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
