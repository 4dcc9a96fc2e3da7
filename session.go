package wsauth

import (
	"context"
	"math"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"wsauth/internal/wsconn"
	"wsauth/internal/wsframe"
	"wsauth/token"
)

// A Session is a request that passed the guard: an open socket, or a plain
// HTTP request while its handler runs. Handlers find it with [SessionFrom].
type Session struct {
	guard  *Guard
	claims *token.Claims
	begun  time.Time
	remote string
	cancel context.CancelCauseFunc
	conn   *wsconn.Conn // nil for a plain HTTP request
	expiry *time.Timer  // the same

	admitted bool // the guard remembers it
	end      atomic.Pointer[EndError]
}

type sessionKey struct{}

// SessionFrom returns the session that a guard put into ctx, the context of a
// guarded request.
func SessionFrom(ctx context.Context) (*Session, bool) {
	s, ok := ctx.Value(sessionKey{}).(*Session)
	return s, ok
}

// Claims returns what the token says; nil where the route's requirement is
// [Optional] and the client sent none.
func (s *Session) Claims() *token.Claims { return s.claims }

// End ends the session: the client of a socket gets the close frame of e, the
// handler's reads and writes fail with e, and the request's context is
// cancelled with e as its [context.Cause]. It returns at once and works once:
// the first cause stays. A nil e means SessionEnded.
func (s *Session) End(e *EndError) {
	if e == nil {
		e = SessionEnded.End(nil)
	}
	if !s.end.CompareAndSwap(nil, e) {
		return
	}
	if s.conn == nil {
		s.cancel(e)
		return
	}
	s.conn.End(e, e.frame(), func() { s.cancel(e) })
}

// noExpiry is a delay that never passes.
const noExpiry = time.Duration(math.MaxInt64)

// expire ends the session when its token is no longer valid. The timer is
// monotonic: a clock that is set back does not lengthen a session.
func (s *Session) expire() {
	if s.claims != nil {
		s.expiry.Reset(time.Until(s.claims.ValidUntil()))
	}
}

// closed runs once the connection is gone, whoever closed it.
func (s *Session) closed() {
	s.end.CompareAndSwap(nil, &EndError{Code: closeNormal, Reason: "closed", Err: net.ErrClosed})
	e := s.end.Load()
	s.cancel(e)
	s.expiry.Stop()
	if s.admitted {
		s.guard.logEnd(s, e)
		s.guard.forget(s)
	}
}

// An EndError says why a session ended. It is the [context.Cause] of the
// request's context, and the error of the handler's reads and writes, from
// then on.
type EndError struct {
	// Code is the close code that the client gets: 1000 to 1014 as far as RFC
	// 6455 section 7.4.1 lets an endpoint send it, or 3000 to 4999. Any other
	// becomes 1011.
	Code int

	// Reason is the reason that the client gets: a short, stable word. Bytes
	// after the 123rd are cut.
	Reason string

	// Err is the cause for the log; the client does not get it. May be nil.
	Err error
}

// End makes the end that r means: its close code, and r itself as the reason.
func (r Reason) End(err error) *EndError {
	return &EndError{Code: r.Outcome().Code, Reason: string(r), Err: err}
}

// Error is the text for the log.
func (e *EndError) Error() string {
	if e.Err == nil {
		return "wsauth: session ended: " + e.Reason
	}
	return "wsauth: session ended: " + e.Reason + ": " + e.Err.Error()
}

// Unwrap gives the cause and the reason to errors.Is and errors.As.
func (e *EndError) Unwrap() []error {
	if e.Err == nil {
		return []error{Reason(e.Reason)}
	}
	return []error{Reason(e.Reason), e.Err}
}

// frame is the close frame for the client.
func (e *EndError) frame() []byte {
	code := e.Code
	if !sendable(code) {
		code = CloseInternalError
	}
	return wsframe.AppendClose(nil, code, strings.ToValidUTF8(e.Reason, ""))
}

// sendable reports whether an endpoint may send the close code: 1004, 1005,
// 1006 and 1015 are reserved (RFC 6455 section 7.4.1), and 1016 to 2999 are
// not given out.
func sendable(code int) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014:
		return true
	}
	return code >= 3000 && code <= 4999
}
