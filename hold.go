package wsauth

import "errors"

// Hold makes an open socket of a plain HTTP request whose answer has no end,
// such as one of server-sent events: from now on it counts as one, is found by
// revocations and logouts, stays open while its session is renewed, and ends
// when its token expires. At the end its context is cancelled with the
// [EndError] as its cause, and the handler must return.
//
// An error is an [*Error], and says that the request may not go on: the token
// was revoked meanwhile, a limit is reached, or the guard is shutting down.
// For an open socket Hold does nothing.
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

// release ends a plain HTTP request, whose handler has returned.
func (s *Socket) release() {
	if s.held.Load() {
		s.Closed()
		return
	}
	s.unfollow()
	s.context.end(nil)
}
