package wsauth

import (
	"net/http"

	"wsauth/token"
)

// An Ender closes the connection of a socket.
type Ender interface {
	// End sends frame, a close frame, after the last whole frame of the
	// server, and closes the connection. The frame encodes cause, an
	// [*EndError]. The guard calls End at most once, possibly before
	// [Guard.Admit] returns, and End must not block. It must call sent once
	// frame has been sent or can no longer be sent: sent cancels
	// [Socket.Context].
	End(cause error, frame []byte, sent func())
}

// Admit registers the socket of a handshake that [Guard.Check] has accepted
// with claims. Call it before answering with 101. From then on revocations,
// logouts, limits and the expiry of the token find the socket, and end it
// through ender. The caller sends the 101, calls [Socket.Opened], and calls
// [Socket.Closed] when the connection is closed, whether or not it has sent
// the 101.
//
// [Guard.Require] does all this for handlers of net/http. Admit is for servers
// that handle connections themselves: it needs no [http.ResponseWriter] and
// starts no goroutine.
//
// If Check returned no claims and q is not [Optional], the token is expected
// in the first message; see [FirstMessage]. The caller must pass that message
// to [Socket.Authenticate] before it does anything else, and must limit the
// bytes that it reads until then.
//
// An error is an [*Error] for [Guard.Refuse]: a limit is reached, the guard is
// shutting down, or the token has been revoked since it was checked. There is
// no socket then, and Closed must not be called.
func (g *Guard) Admit(r *http.Request, q Requirement, claims *token.Claims, ender Ender) (*Socket, error) {
	waits := claims == nil && q != Optional
	if waits && g.extractors.firstMessage == nil {
		return nil, g.extractors.missing(r, q)
	}
	s := g.newSocket(r, q, claims)
	s.waits, s.ender = waits, ender
	if g.config.Authorize != nil {
		s.kept = keepHandshake(r, g.extractors, waits)
	}
	if err := g.admit(s); err != nil {
		return nil, err
	}
	return s, nil
}

// admit registers a socket, so that it can be found and ended. It then checks
// revocations again: a revocation since the first check either finds the
// registered socket or is found here. admit may wait for Config.Counters.
func (g *Guard) admit(s *Socket) error {
	var places *reservation
	if g.open.sockets.shared != nil {
		var err error
		if places, err = g.open.sockets.reserve(s.context.request, s, s.Claims()); err != nil {
			return err
		}
		defer places.release()
	}
	s.startTimer()
	evicted, err := g.open.sockets.admit(s)
	if err == nil {
		places.commit()
		if s.Claims() != nil {
			g.pulse.start()
		}
		endEvicted(evicted)
		err = g.revocations.recheck(s.Claims())
	}
	if err != nil {
		s.expiry.timer.Stop()
		g.open.sockets.forget(s)
	}
	return err
}
