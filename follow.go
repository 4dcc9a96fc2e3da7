package wsauth

import (
	"context"
	"errors"
	"net"
	"time"
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

// followAfter is how long a plain HTTP request may take before the guard
// follows it, if its handler has called [Follow].
const followAfter = time.Second

// A Follower is notified of the requests that the guard follows.
type Follower interface {
	// Opened is called when a request has taken longer than a second. It must
	// not block.
	Opened(s *Socket)

	// Ended is called for each of these requests when its handler has returned.
	// e is the cause; its reason is "closed" if the guard did not end the
	// request.
	Ended(s *Socket, e *EndError)
}

// Follow binds the plain HTTP request with the context ctx to its session: if
// the request takes longer than a second, it ends with the session, like a
// socket. Examples are a download, an upload, a long poll, and an endless
// response. Follow is for reverse proxies, whose handlers cannot know how long
// a request takes.
//
// After that second, revocations, logouts and [Guard.Renew] find the request;
// [Socket.SetTransfer] says what else ends it. At the end its context is
// canceled with the [EndError] as its cause, and the handler must return. If
// the handler has started a response without Content-Length, it must end the
// response by panic([http.ErrAbortHandler]); otherwise the client cannot tell
// that the response is incomplete.
//
// Unlike a request of [Hold], a followed request does not count against limits.
// A request that takes less than a second costs one timer. f may be nil.
//
// Follow returns the socket that represents the request. It does nothing and
// returns nil for a client without a token, for a WebSocket, after Hold, or if
// no guard has checked the request. Call it once, in the handler's own
// goroutine.
func Follow(ctx context.Context, f Follower) *Socket {
	s := requestFrom(ctx)
	if s == nil || s.ender != nil || s.held.Load() || s.Claims() == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.followed == nil {
		s.followed = &followed{follower: f}
		s.expiry.start(s.guard.now(), followAfter, s.follow)
	}
	return s
}

// A Transfer is the state of a followed request. Revocations end it in every
// state.
type Transfer int

const (
	// Unanswered is the state of a request without a response, such as a long
	// poll. It ends when its token expires.
	Unanswered Transfer = iota

	// Bounded is the state of a transfer whose length both sides know. It may
	// outlive its token. An upload that has outlived its token may become
	// Unanswered while it waits for its response. That response must be
	// Bounded, too: an Endless one ends at once.
	Bounded

	// Endless is the state of a response of unlimited length. It ends when its
	// token expires, and when the guard drains.
	Endless
)

// SetTransfer sets the state of a followed request. It is Unanswered at first.
func (s *Socket) SetTransfer(t Transfer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.followed
	if f == nil {
		return
	}
	f.transfer = t
	if f.overdue && t == Endless {
		s.End(TokenExpired)
	}
	s.guard.open.drainLate(s)
}

// Followed reports whether s is a plain HTTP request that the guard follows;
// see [Follow].
func (s *Socket) Followed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.followed != nil && s.followed.registered
}

// followed is the state of a followed request. Socket.mu guards it.
type followed struct {
	follower   Follower // may be nil
	registered bool
	returned   bool // whether the handler has returned
	transfer   Transfer
	overdue    bool // the request has outlived its token
}

// follow registers the request, so that revocations find it. As in admit, a
// revocation in the meantime either finds the request or is found here.
func (s *Socket) follow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.followed
	if f.returned {
		return
	}
	now := s.guard.now()
	s.expiry.start(now, s.Claims().ValidUntil().Sub(now), s.timedOut)
	f.registered = true
	_, _ = s.guard.open.requests.admit(s) // requests has no limits, never closes
	s.guard.pulse.start()
	if err := s.guard.revocations.recheck(s.Claims()); err != nil {
		s.EndWith(&EndError{Reason: TokenRevoked, Err: err})
	}
	s.guard.open.drainLate(s)
	if f.follower != nil {
		f.follower.Opened(s)
	}
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

// unfollow stops following a request whose handler has returned.
func (s *Socket) unfollow() {
	f := s.followed
	if f == nil {
		return
	}
	s.mu.Lock()
	f.returned = true
	s.expiry.timer.Stop()
	s.mu.Unlock()
	if !f.registered {
		return
	}
	s.guard.open.requests.forget(s)
	s.end.CompareAndSwap(nil, closedEnd)
	end := s.end.Load()
	if !errors.Is(end, net.ErrClosed) {
		s.guard.report.logEnd("request ended", s, end)
	}
	if f.follower != nil {
		f.follower.Ended(s, end)
	}
}
