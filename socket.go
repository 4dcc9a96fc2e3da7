package wsauth

import (
	"context"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"wsauth/internal/wsconn"
	"wsauth/token"
)

// A Socket is a request that passed the guard: an open socket, or a plain
// HTTP request while its handler runs. Handlers find it with [SocketFrom]. It
// is safe for concurrent use.
type Socket struct {
	guard       *Guard
	requirement Requirement
	begun       time.Time
	known       time.Time // when claims were stored first, before which it is not to be read
	remote      string
	waits       bool          // its token is to come in the first message
	request     *http.Request // for Config.Authorize, where there is one
	claims      atomic.Pointer[token.Claims]
	ctx         context.Context // ends with the session
	cancel      context.CancelCauseFunc
	conn        *wsconn.Conn // nil for a plain HTTP request
	held        atomic.Bool  // a plain HTTP request that counts as a socket
	timer       *time.Timer  // of a socket: the session's end, unless it is renewed
	end         atomic.Pointer[EndError]
	number      atomic.Uint64 // its place in the order; 0 for what is none
	stage       atomic.Int32  // what the observer was told

	followed *followed // a plain HTTP request that is to end with its session

	mu       sync.Mutex    // orders renewals; never held while somebody else is asked
	due      time.Time     // when the timer fires
	renewals *rate.Limiter // nil before the first
	renewed  chan struct{} // closed by the next renewal; nil if nobody waits

	entry entry // the registry's
}

type socketKey struct{}

// SocketFrom returns the socket that a guard put into ctx, the context of a
// guarded request; nil if there is none.
func SocketFrom(ctx context.Context) *Socket {
	s, _ := ctx.Value(socketKey{}).(*Socket)
	return s
}

// Claims returns what the token says that the session has now: a renewal
// replaces them. They are nil where the route's requirement is [Optional] and
// the client sent none, and until [Socket.Authenticate] has taken the first
// message of a client that sends its token in it.
func (s *Socket) Claims() *token.Claims { return s.claims.Load() }

// setClaims gives the session claims. The caller is the only one.
func (s *Socket) setClaims(claims *token.Claims) {
	if claims == nil {
		return
	}
	if s.Claims() == nil {
		s.known = s.guard.now()
	}
	s.claims.Store(claims)
}

// knownAt reports whether the session of a known client, which has claims, had
// them at a moment already: by the clock on the wall, or by the monotonic one,
// since the other may have been set back in between.
func (s *Socket) knownAt(moment time.Time) bool {
	now := s.guard.now()
	return s.known.UnixMilli() <= moment.UnixMilli() || now.Sub(s.known) >= now.Sub(moment)
}

// Begun returns when the request came.
func (s *Socket) Begun() time.Time { return s.begun }

// Number returns the place of an open socket in the order in which the guard's
// sockets came, from 1 on. No two have the same; a request that is no socket has
// 0. See [Guard.All].
func (s *Socket) Number() uint64 { return s.number.Load() }

// RemoteAddr returns the address of the client: that of
// [http.Request.RemoteAddr], or what a trusted proxy says. The port is 0 if
// the proxy does not say it.
func (s *Socket) RemoteAddr() string { return s.remote }

// End ends the session: the client of a socket gets the close frame of e, the
// handler's reads and writes fail with e, and the request's context is
// cancelled with e as its [context.Cause]. It returns at once and works once:
// the first cause stays. A nil e means SessionEnded.
func (s *Socket) End(e *EndError) {
	if e == nil {
		e = SessionEnded.End(nil)
	}
	if !s.end.CompareAndSwap(nil, e) {
		return
	}
	s.guard.registryOf(s).ended(s)
	if s.conn == nil {
		s.cancel(e)
		return
	}
	s.conn.End(e, e.frame(), func() { s.cancel(e) })
}

// over is the refusal of what comes after the end; nil before it.
func (s *Socket) over() error {
	end := s.end.Load()
	if end == nil {
		return nil
	}
	return &Error{Reason: SessionEnded, Message: SessionEnded.Outcome().Text, Err: end}
}

// noEnd is a delay that never passes.
const noEnd = time.Duration(math.MaxInt64)

// endsBy sets the timer to the end that the session comes to by itself: that of
// its token, or of the client's time to send one. The timer is monotonic: a
// clock that is set back does not lengthen a session. The caller holds s.mu.
func (s *Socket) endsBy() {
	var left time.Duration
	switch claims := s.Claims(); {
	case claims != nil:
		left = claims.ValidUntil().Sub(s.guard.now())
	case s.waits:
		left = s.guard.firstMessage.timeout()
	default:
		return
	}
	if s.followed != nil {
		s.followed.overdue = false
	}
	s.due = s.guard.now().Add(left)
	s.timer.Reset(left)
	if s.end.Load() != nil {
		s.timer.Stop() // closed may have stopped it already, and does not do so again
	}
}

// timedOut is the end that endsBy has set, unless a renewal has come in between.
// The lock is held to the end of it, so that none succeeds which is too late.
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

// expire is the end of the session's token. s.mu must be held.
func (s *Socket) expire() {
	if f := s.followed; f != nil && f.transfer == Bounded {
		f.overdue = true
		return
	}
	s.End(TokenExpired.End(nil))
}

// closed runs once the connection is gone, whoever closed it.
func (s *Socket) closed() {
	s.end.CompareAndSwap(nil, closedEnd())
	e := s.end.Load()
	s.cancel(e)
	s.timer.Stop()
	s.guard.sockets.forget(s)
	s.tellEnd(e)
}

// closedEnd is the end of a session that the guard did not end.
func closedEnd() *EndError {
	return &EndError{Code: closeNormal, Reason: "closed", Err: net.ErrClosed}
}
