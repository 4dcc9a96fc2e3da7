package wsauth

import (
	"net/http"
	"time"

	"wsauth/store"
)

// An Observer is notified of the decisions of a guard, for metrics and audit
// logs. Its methods are called concurrently, and the client waits for them:
// they must return quickly, and must not keep the request.
type Observer interface {
	// Refused is called for each refused request, before the response. The
	// request still has its credential, so do not log it. If the socket ended
	// before its handler responded, the credential has been removed.
	Refused(r *http.Request, e *Error)

	// Opened is called for each socket when its handler opens it, by
	// responding with 101 or by taking the connection over, and for each
	// request that [Hold] turns into a socket. If a handler responds to
	// a handshake in another way, neither Opened nor Ended is called.
	Opened(s *Socket)

	// Renewed is called for each of the opened sockets, and for each followed
	// request, when its token was replaced by [Socket.Renew] or [Guard.Renew].
	Renewed(s *Socket)

	// Ended is called for each of the opened sockets when its connection is
	// closed.
	// e is the cause: close code 1000 and reason "closed" if the client or the
	// handler closed it.
	Ended(s *Socket, e *EndError)

	// Revoked is called after each [Guard.Revoke] that has taken effect, at
	// least on this node. sockets is the number of sockets that were ended, and
	// took is the time that the call took.
	Revoked(revocations []store.Revocation, sockets int, took time.Duration)
}

// A noObserver is an Observer that does nothing.
type noObserver struct{}

func (noObserver) Refused(*http.Request, *Error)                  {}
func (noObserver) Opened(*Socket)                                 {}
func (noObserver) Renewed(*Socket)                                {}
func (noObserver) Ended(*Socket, *EndError)                       {}
func (noObserver) Revoked([]store.Revocation, int, time.Duration) {}
