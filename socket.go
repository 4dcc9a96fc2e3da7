package wsauth

import (
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"wsauth/token"
)

// A Socket is an open socket of a client that passed the guard, or a plain
// HTTP request while its handler runs. Handlers find it with [SocketFrom]; a
// server that takes connections over itself gets it from [Guard.Admit]. It is
// safe for concurrent use.
type Socket struct {
	guard       *Guard
	requirement Requirement
	begun       time.Time
	remote      string
	waits       bool          // for a token in the first message
	ender       Ender         // nil for a plain HTTP request
	request     *http.Request // for Config.Authorize, if there is one
	claims      atomic.Pointer[token.Claims]
	known       time.Time // when claims were first stored, before which it is not read
	context     socketContext
	end         atomic.Pointer[EndError]
	number      atomic.Uint64 // its place in the order; 0 if it has none
	stage       atomic.Int32  // what the observer was told
	held        atomic.Bool   // a plain HTTP request that counts as a socket
	timer       *time.Timer   // of the end that the socket comes to by itself

	followed *followed // a plain HTTP request that may end with its session

	mu       sync.Mutex    // orders renewals; never held while the application is asked
	due      time.Time     // when the timer fires
	renewals *rate.Limiter // nil before the first
	renewed  chan struct{} // closed by the next renewal; nil if nobody waits

	entry entry // the registry's, guarded by its lock
}

// newSocket makes the socket of a request.
func (g *Guard) newSocket(r *http.Request, q Requirement, claims *token.Claims) *Socket {
	s := &Socket{guard: g, requirement: q, begun: time.Now(), remote: g.client(r).Addr}
	s.context.request = r.Context()
	s.setClaims(claims)
	return s
}

// Claims returns what the socket's token says: a renewal replaces them. They
// are nil if the route's requirement is [Optional] and the client sent none,
// and until [Socket.Authenticate] has taken the first message of a client that
// sends its token in it.
func (s *Socket) Claims() *token.Claims { return s.claims.Load() }

// setClaims gives the socket claims. The caller is the only one.
func (s *Socket) setClaims(claims *token.Claims) {
	if claims == nil {
		return
	}
	if s.Claims() == nil {
		s.known = s.guard.now()
	}
	s.claims.Store(claims)
}

// isAnonymous reports whether the client has not authenticated.
func (s *Socket) isAnonymous() bool { return s.Claims() == nil }

// knownAt reports whether a socket with claims had them at a moment already:
// by the wall clock, or by the monotonic one, since the other may have been
// set back in between.
func (s *Socket) knownAt(moment time.Time) bool {
	now := s.guard.now()
	return s.known.UnixMilli() <= moment.UnixMilli() || now.Sub(s.known) >= now.Sub(moment)
}

// Begun returns when the request came.
func (s *Socket) Begun() time.Time { return s.begun }

// Number returns the place of an open socket in the order in which the guard's
// sockets were opened, from 1 on. No two have the same; a request that is no
// socket has 0. See [Guard.All].
func (s *Socket) Number() uint64 { return s.number.Load() }

// RemoteAddr returns the address of the client: that of
// [http.Request.RemoteAddr], or what a trusted proxy says. The port is 0 if
// the proxy does not say it.
func (s *Socket) RemoteAddr() string { return s.remote }

// Opened records that the handshake was answered with 101. It tells the log
// and [Config.Observer], once.
func (s *Socket) Opened() {
	if s.end.Load() != nil || !s.stage.CompareAndSwap(stageNew, stageOpening) {
		return
	}
	s.guard.tellOpened(s)
	if !s.stage.CompareAndSwap(stageOpening, stageOpen) {
		s.guard.tellEnded(s, s.end.Load()) // it was closed meanwhile
	}
}

// The stages of a socket, as the observer hears of them.
const (
	stageNew     = iota
	stageOpening // the observer is being told that it is open
	stageOpen
	stageClosed
)

// End ends the socket: its client gets the close frame of e, the handler's
// reads and writes fail with e, and the request's context is cancelled with e
// as its [context.Cause]. It returns at once and works once: the first cause
// stays. A nil e means SessionEnded.
func (s *Socket) End(e *EndError) {
	if e == nil {
		e = SessionEnded.End(nil)
	}
	if !s.end.CompareAndSwap(nil, e) {
		return
	}
	s.guard.registryOf(s).ended(s)
	if s.ender == nil {
		s.context.end(e)
		return
	}
	s.ender.End(e, e.frame(), func() { s.context.end(e) })
}

// endAll ends sockets for one reason.
func endAll(sockets []*Socket, end *EndError) {
	for _, s := range sockets {
		s.End(end)
	}
}

// endEvicted ends the sockets that have to end for a newer one.
func endEvicted(sockets []*Socket) {
	if len(sockets) > 0 {
		endAll(sockets, ConnectionLimit.End(nil))
	}
}

// Err returns the [*EndError] with which the socket ended, or nil while it is
// open.
func (s *Socket) Err() error {
	if end := s.end.Load(); end != nil {
		return end
	}
	return nil
}

// over returns the refusal of what comes after the end; nil before it.
func (s *Socket) over() error {
	end := s.end.Load()
	if end == nil {
		return nil
	}
	return &Error{Reason: SessionEnded, Message: SessionEnded.Outcome().Text, Err: end}
}

// Closed records that the connection is gone, whoever closed it: the guard
// forgets the socket. It must be called once for each socket that
// [Guard.Admit] has returned.
func (s *Socket) Closed() {
	if s.end.Load() == nil {
		s.end.CompareAndSwap(nil, closedEnd())
	}
	e := s.end.Load()
	s.context.end(e)
	s.timer.Stop()
	s.guard.sockets.forget(s)
	if s.stage.Swap(stageClosed) == stageOpen {
		s.guard.tellEnded(s, e)
	}
}

// closedEnd returns the end of a socket that the guard did not end.
func closedEnd() *EndError {
	return &EndError{Code: closeNormal, Reason: "closed", Err: net.ErrClosed}
}

// noEnd is a delay that never passes.
const noEnd = time.Duration(math.MaxInt64)

// startTimer starts the timer of the end that the socket comes to by itself.
func (s *Socket) startTimer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(s.untilDue(), s.timedOut)
}

// resetTimer sets the timer to the end of new claims. s.mu must be held.
func (s *Socket) resetTimer() {
	s.timer.Reset(s.untilDue())
	if s.end.Load() != nil {
		s.timer.Stop() // Closed may have stopped it already, and does not do so again
	}
}

// untilDue sets s.due to when the socket ends by itself: with its token, or
// with the client's time to send one. It returns how long that is from now.
// The timer is monotonic: a clock that is set back does not lengthen it. s.mu
// must be held.
func (s *Socket) untilDue() time.Duration {
	now := s.guard.now()
	var left time.Duration
	switch claims := s.Claims(); {
	case claims != nil:
		left = claims.ValidUntil().Sub(now)
	case s.waits:
		left = s.guard.firstMessage.timeout()
	default:
		return noEnd
	}
	s.due = now.Add(left)
	return left
}

// timedOut ends the socket when the timer fires, unless a renewal has come in
// between. It holds the lock until then, so that no renewal succeeds that is
// too late.
func (s *Socket) timedOut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.due.Sub(s.guard.now()) > 0:
	case s.Claims() == nil:
		s.End(AuthTimeout.End(nil))
	default:
		s.expire()
	}
}

// expire ends the socket, or notes that its request outlives the token. s.mu
// must be held.
func (s *Socket) expire() {
	if f := s.followed; f != nil && f.transfer == Bounded {
		f.overdue = true
		return
	}
	s.End(TokenExpired.End(nil))
}
