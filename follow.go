package wsauth

import (
	"errors"
	"net"
	"time"
)

// FollowAfter is how long a plain HTTP request takes before the guard ends it
// with its session, if its handler asks for that; see [Socket.Follow].
const FollowAfter = time.Second

// A Follower is told of the requests that the guard follows.
type Follower interface {
	// Followed is called when a request has taken longer than FollowAfter. It
	// must not wait.
	Followed(s *Socket)

	// Left is called for each of them when its handler has returned. e is the
	// cause: reason "closed" where the guard did not end it.
	Left(s *Socket, e *EndError)
}

// Follow ends a plain HTTP request with its session, like a socket, if it
// takes longer than [FollowAfter]: a download, an upload, a long poll, or an
// answer without an end. From then on it is found by revocations and logouts,
// and by [Guard.Renew]; [Socket.SetTransfer] says what else ends it. At the
// end its context is cancelled with the [EndError] as its cause, and the
// handler must return: if it has begun an answer without Content-Length, by
// panic([http.ErrAbortHandler]), or the client takes a part for the whole.
//
// Unlike [Socket.Hold] it counts against no limit. A request that is shorter
// costs one timer. For a client without a token, for an open socket and after
// Hold, Follow does nothing. f may be nil.
//
// Call it once, in the handler's own goroutine.
func (s *Socket) Follow(f Follower) {
	if s.ender != nil || s.held.Load() || s.Claims() == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.followed == nil {
		s.followed = &followed{follower: f}
		s.timer = time.AfterFunc(FollowAfter, s.follow)
	}
}

// A Transfer says what a request that is followed is doing. Revocations end
// each of them.
type Transfer int

const (
	// Unanswered is a request without an answer yet, such as a long poll. It
	// ends when its token expires.
	Unanswered Transfer = iota

	// Bounded is a transfer whose length both sides know. It may go on after
	// its token has expired. An upload that did may then be Unanswered until
	// its answer comes, which is Bounded too or ends at once.
	Bounded

	// Endless is an answer of any length. It ends when its token expires, and
	// when the guard drains.
	Endless
)

// SetTransfer says what a request that is followed is doing from now on. At
// first it is Unanswered.
func (s *Socket) SetTransfer(t Transfer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.followed
	if f == nil {
		return
	}
	f.transfer = t
	if f.overdue && t == Endless {
		s.End(TokenExpired.End(nil))
	}
	s.endIfDraining()
}

// endIfDraining ends a request that the guard would have ended if it had been
// followed when the guard began to drain. s.mu must be held.
func (s *Socket) endIfDraining() {
	if f := s.followed; f.registered && f.transfer == Endless && s.guard.sockets.isClosing() {
		s.End(Restarting.End(nil))
	}
}

// Followed reports whether s is a plain HTTP request that the guard follows;
// see [Socket.Follow].
func (s *Socket) Followed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.followed != nil && s.followed.registered
}

// followed is the state of a request that is followed. It is guarded by
// Socket.mu.
type followed struct {
	follower   Follower // may be nil
	registered bool
	returned   bool // the handler has
	transfer   Transfer
	overdue    bool // its token has expired, and it has outlived it
}

// follow registers the request, so that revocations find it. As in admit, a
// revocation in between has either found it, or is found here.
func (s *Socket) follow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.followed
	if f.returned {
		return
	}
	s.timer = time.AfterFunc(s.untilDue(), s.timedOut)
	f.registered = true
	_, _ = s.guard.requests.admit(s) // it has no limits, and is never closed
	s.guard.startPulse()
	if err := s.guard.lookAgain(s.Claims()); err != nil {
		s.End(TokenRevoked.End(err))
	}
	s.endIfDraining()
	if f.follower != nil {
		f.follower.Followed(s)
	}
}

// unfollow ends the following of a request whose handler has returned.
func (s *Socket) unfollow() {
	f := s.followed
	if f == nil {
		return
	}
	s.mu.Lock()
	f.returned = true
	s.timer.Stop()
	s.mu.Unlock()
	if !f.registered {
		return
	}
	s.guard.requests.forget(s)
	s.end.CompareAndSwap(nil, closedEnd())
	end := s.end.Load()
	if !errors.Is(end, net.ErrClosed) {
		s.guard.logEnd("request ended", s, end)
	}
	if f.follower != nil {
		f.follower.Left(s, end)
	}
}

func (s *Socket) isEndless() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.followed.transfer == Endless
}
