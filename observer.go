package wsauth

import (
	"net/http"
	"time"

	"wsauth/store"
)

// An Observer is told what a guard decides, for figures and audits. Its
// methods are called from many goroutines at once, and the client waits for
// them: they return soon, and keep no request.
type Observer interface {
	// Refused is called for each request that is refused, before the answer.
	// The request is as it came, with its credential: it is not for a log. If the
	// session ended before its handler answered, the credential is gone.
	Refused(r *http.Request, e *Error)

	// Opened is called for each socket when its handler opens it, by answering
	// with 101 or taking the connection over, and for each answer that
	// [Socket.Hold] makes one. It is not called for a handshake that the handler
	// answers in another way, nor is Ended.
	Opened(s *Socket)

	// Renewed is called for each of them, and for each followed request, when
	// its token was replaced by [Socket.Renew] or [Guard.Renew].
	Renewed(s *Socket)

	// Ended is called for each of them when its connection is gone. e is the
	// cause: close code 1000 and reason "closed" where client or handler hung up.
	Ended(s *Socket, e *EndError)

	// Revoked is called after each [Guard.Revoke] that has succeeded, if only on
	// this node, with how many sockets were told to end, and how long all of it
	// took.
	Revoked(revocations []store.Revocation, sockets int, took time.Duration)
}

// nobody is the observer of a guard that has none.
type nobody struct{}

func (nobody) Refused(*http.Request, *Error)                  {}
func (nobody) Opened(*Socket)                                 {}
func (nobody) Renewed(*Socket)                                {}
func (nobody) Ended(*Socket, *EndError)                       {}
func (nobody) Revoked([]store.Revocation, int, time.Duration) {}
