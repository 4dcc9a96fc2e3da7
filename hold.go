package wsauth

import (
	"errors"
	"time"
)

// Hold makes an open socket of a plain HTTP request whose answer has no end,
// such as one of server-sent events: from now on it counts as one, is found by
// revocations and logouts, stays while its session is renewed, and ends when
// its token does. At the end its context is cancelled with the [EndError] as
// its cause, upon which the handler must return.
//
// An error is an [*Error], and says that the request may not go on: the token
// was revoked meanwhile, a limit stands against it, or the guard shuts down. On
// the session of a socket Hold does nothing.
func (s *Socket) Hold() error {
	if s.conn != nil {
		return nil
	}
	if s.followed != nil {
		return errors.New("wsauth: Hold: the request is followed")
	}
	if !s.held.CompareAndSwap(false, true) {
		return errors.New("wsauth: Hold: called twice")
	}
	s.mu.Lock()
	s.timer = time.AfterFunc(noEnd, s.timedOut)
	s.mu.Unlock()
	if err := s.guard.admit(s, 0); err != nil {
		s.timer.Stop()
		s.guard.sockets.forget(s)
		return err
	}
	s.tellOpen()
	return nil
}

// release is the end of a plain HTTP request, whose handler has returned.
func (s *Socket) release() {
	if s.held.Load() {
		s.closed()
		return
	}
	s.unfollow()
	s.cancel(nil)
}
