package wsauth

import (
	"errors"
	"net/http"

	"wsauth/token"
)

// An Ender closes the connection of a socket.
type Ender interface {
	// End sends frame, a close frame, after the server's last whole frame, and
	// closes the connection. cause is the [*EndError] that frame is made of.
	// End is called once at most, and maybe before [Guard.Admit] returns; it
	// returns at once. told is to be called when the server may know of the
	// end, which is when frame was sent or cannot be sent any more: it cancels
	// [Socket.Context].
	End(cause error, frame []byte, told func())
}

// Admit admits the socket of a handshake that [Guard.Check] let pass with
// claims, before it is answered with 101: from now on revocations, logouts,
// limits and the expiry of its token find the socket, and end it by ender. The
// caller sends the 101, calls [Socket.Opened], and calls [Socket.Closed] when
// the connection is gone, whether it has sent a 101 or not.
//
// [Guard.Require] does all of it, for handlers of net/http. Admit is for
// servers that take connections over themselves: it needs no
// [http.ResponseWriter], and starts no goroutine.
//
// If Check returned no claims and q is not [Optional], the token is to come in
// the first message; see [FirstMessage]. The caller then gives that message to
// [Socket.Authenticate] before it does anything else, and bounds what it reads
// until then.
//
// An error is an [*Error], for [Guard.Refuse]: a limit is reached, the guard
// is shutting down, or the token was revoked since it was checked. There is no
// socket then, and Closed is not called.
func (g *Guard) Admit(r *http.Request, q Requirement, claims *token.Claims, ender Ender) (*Socket, error) {
	waits := claims == nil && q != Optional
	if waits && g.firstMessage == nil {
		return nil, g.missing(r, q)
	}
	s := g.newSocket(r, q, claims)
	s.waits, s.ender = waits, ender
	if g.config.Authorize != nil {
		s.request = g.stripped(s.Context(), r)
		s.request.Body = http.NoBody
	}
	if err := g.admit(s); err != nil {
		return nil, err
	}
	return s, nil
}

// admit registers a socket, so that it can be found and ended. Only after that
// it looks at revocations once more: one in between has either found the
// socket, or is found now.
func (g *Guard) admit(s *Socket) error {
	s.startTimer()
	evicted, err := g.sockets.admit(s)
	if err == nil {
		if s.Claims() != nil {
			g.startPulse()
		}
		endEvicted(evicted)
		err = g.lookAgain(s.Claims())
	}
	if err != nil {
		s.timer.Stop()
		g.sockets.forget(s)
	}
	return err
}

// lookAgain refuses claims that were revoked since they were checked.
func (g *Guard) lookAgain(claims *token.Claims) error {
	if claims != nil && g.revocations != nil && g.revocations.Revoked(claims) {
		return refuse(TokenRevoked, errors.New("revoked while the socket was being opened"))
	}
	return nil
}
