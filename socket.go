package wsauth

import (
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"wsauth/token"
)

// A Socket represents an open WebSocket of an admitted client, or a plain HTTP
// request that is held open by [Hold] or followed by [Follow]. Handlers get it
// from [SocketFrom]; servers that handle connections themselves get it from
// [Guard.Admit]. It is safe for concurrent use.
type Socket struct {
	guard       *Guard
	requirement Requirement
	started     time.Time
	remote      string
	waits       bool  // the token is expected in the first message
	ender       Ender // nil for a plain HTTP request
	identity    identity
	context     socketContext
	end         atomic.Pointer[EndError]
	id          atomic.Uint64 // position in the order; 0 if it has none
	stage       atomic.Int32  // what was reported to the observer
	held        atomic.Bool   // set by Hold for a plain HTTP request
	followed    *followed     // a plain HTTP request that may end with its session; else nil

	mu       sync.Mutex // serializes renewals, and guards the following fields; not held while Authorize is called
	expiry   expiry
	kept     keptRequest // for Authorize
	renewals renewals

	entry entry // guarded by registry.mu
}

// newSocket returns the socket of a request.
func (g *Guard) newSocket(r *http.Request, q Requirement, claims *token.Claims) *Socket {
	s := &Socket{guard: g, requirement: q, started: g.now(), remote: g.proxies.Of(r).Addr}
	s.context.request = r.Context()
	if claims != nil {
		s.identity.set(claims, s.started)
	}
	return s
}

// Claims returns the claims of the current token; a renewal replaces them.
// They are nil if the requirement is [Optional] and the client sent no
// credential. If the client sends its token in the first message, they are nil
// until [Socket.Authenticate] has accepted it.
func (s *Socket) Claims() *token.Claims { return s.identity.claims.Load() }

// An identity holds the claims of a socket's current token.
type identity struct {
	claims atomic.Pointer[token.Claims] // nil before the client authenticates
	since  time.Time                    // when the client authenticated; read only if there are claims
}

// set stores claims. It must not be called concurrently.
func (i *identity) set(claims *token.Claims, now time.Time) {
	if i.claims.Load() == nil {
		i.since = now
	}
	i.claims.Store(claims)
}

// existedAt reports whether the identity had claims at a moment. It must have
// claims now. existedAt compares both the wall clock and the monotonic clock,
// because the wall clock may have been set back in the meantime.
func (i *identity) existedAt(moment, now time.Time) bool {
	return i.since.UnixMilli() <= moment.UnixMilli() || now.Sub(i.since) >= now.Sub(moment)
}

// Started returns when the request arrived.
func (s *Socket) Started() time.Time { return s.started }

// ID returns the number of the socket. It is unique for the guard, and greater
// than those of all sockets that were opened before. It is 0 for a plain HTTP
// request that is not yet held or followed.
func (s *Socket) ID() uint64 { return s.id.Load() }

// RemoteAddr returns the address of the client: that of
// [http.Request.RemoteAddr], or the one that a trusted proxy reports. The port
// is 0 if the proxy does not report it.
func (s *Socket) RemoteAddr() string { return s.remote }

// Opened records that the handshake was answered with 101. It notifies
// Config.Logger and Config.Observer, once.
func (s *Socket) Opened() {
	if s.end.Load() != nil || !s.stage.CompareAndSwap(stageNew, stageOpening) {
		return
	}
	s.guard.report.opened(s)
	if !s.stage.CompareAndSwap(stageOpening, stageOpen) {
		s.guard.report.ended(s, s.end.Load()) // it was closed in the meantime
	}
}

// The stages of a socket, as reported to the observer.
const (
	stageNew     = iota
	stageOpening // Observer.Opened is running
	stageOpen
	stageClosed
)

// End ends the socket with a reason of the guard. The client receives a close
// frame with the reason and its close code. Reads and writes of the handler
// fail with an [*EndError], which is also the [context.Cause] of the request's
// canceled context. End does not block. Only the first call of End or EndWith
// has an effect.
func (s *Socket) End(reason Reason) { s.EndWith(&EndError{Reason: reason}) }

// EndWith is like [Socket.End], with a close code and a reason of the
// application, or with a cause for the log. A nil e means [SessionEnded].
func (s *Socket) EndWith(e *EndError) {
	if e == nil {
		e = &EndError{Reason: SessionEnded}
	}
	e = e.withCode()
	if !s.end.CompareAndSwap(nil, e) {
		return
	}
	s.guard.open.of(s).ended(s)
	if s.ender == nil {
		s.context.end(e)
		return
	}
	s.ender.End(e, e.frame(), func() { s.context.end(e) })
}

// endAll ends sockets with the same EndError.
func endAll(sockets []*Socket, end *EndError) {
	end = end.withCode()
	for _, s := range sockets {
		s.EndWith(end)
	}
}

// endEvicted ends sockets that were evicted to make room for a newer one.
func endEvicted(sockets []*Socket) {
	if len(sockets) > 0 {
		endAll(sockets, &EndError{Reason: ConnectionLimit})
	}
}

// Err returns the [*EndError] that ended the socket, or nil while it is open.
func (s *Socket) Err() error {
	if end := s.end.Load(); end != nil {
		return end
	}
	return nil
}

// checkOpen returns the refusal of an operation on an ended socket, or nil
// while the socket is open.
func (s *Socket) checkOpen() error {
	end := s.end.Load()
	if end == nil {
		return nil
	}
	return &Error{Reason: SessionEnded, Message: SessionEnded.Outcome().Text, Err: end}
}

// Closed records that the connection is closed, by either side, and removes
// the socket from the guard. It must be called once for each socket that
// [Guard.Admit] has returned.
func (s *Socket) Closed() {
	if s.end.Load() == nil {
		s.end.CompareAndSwap(nil, closedEnd)
	}
	e := s.end.Load()
	s.context.end(e)
	s.expiry.timer.Stop()
	s.guard.open.sockets.forget(s)
	if s.stage.Swap(stageClosed) == stageOpen {
		s.guard.report.ended(s, e)
	}
}

// closedEnd is the EndError of sockets that the guard did not end.
var closedEnd = &EndError{Code: closeNormal, Reason: "closed", Err: net.ErrClosed}

// An expiry is the time at which a socket expires. Its timer uses the
// monotonic clock, so a clock that is set back does not lengthen it.
type expiry struct {
	timer *time.Timer
	due   time.Time // when the timer fires
}

// start starts the timer, which calls fire when the time left is over.
func (e *expiry) start(now time.Time, left time.Duration, fire func()) {
	e.due = now.Add(left)
	e.timer = time.AfterFunc(left, fire)
}

// restart changes the time left.
func (e *expiry) restart(now time.Time, left time.Duration) {
	e.due = now.Add(left)
	e.timer.Reset(left)
}

// noEnd is the time left of a socket that never expires.
const noEnd = time.Duration(math.MaxInt64)

// startTimer starts the timer that ends the socket when its token expires, or
// when the time for the first message is over.
func (s *Socket) startTimer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := noEnd
	switch claims := s.Claims(); {
	case claims != nil:
		left = claims.ValidUntil().Sub(s.started)
	case s.waits:
		left = s.guard.extractors.firstMessage.timeout()
	}
	s.expiry.start(s.started, left, s.timedOut)
}

// timedOut ends the socket when the timer fires, unless it has been renewed in
// the meantime. It holds s.mu while it ends the socket, so that no renewal
// that comes too late succeeds.
func (s *Socket) timedOut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.expiry.due.Sub(s.guard.now()) > 0:
	case s.Claims() == nil:
		s.End(AuthTimeout)
	default:
		s.expire()
	}
}

// expire ends the socket. If it is a request that may outlive its token, expire
// only records that it has. s.mu must be held.
func (s *Socket) expire() {
	if f := s.followed; f != nil && f.transfer == Bounded {
		f.overdue = true
		return
	}
	s.End(TokenExpired)
}
