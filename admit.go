package wsauth

import (
	"errors"

	"wsauth/token"
)

// admit lets a socket in, and from then on it can be found and ended. Only
// after that does it ask once more whether the token was revoked: a revocation
// in between has either found the socket, or is found now.
func (g *Guard) admit(s *Socket, early int) error {
	if early > 0 {
		// A client waits for the answer before it sends (RFC 6455 section
		// 4.1); what comes earlier may be a request that a proxy in front of
		// us took for part of this one.
		return refuseWith(InvalidHandshake, "Data came before the handshake was answered")
	}
	s.mu.Lock()
	s.endsBy()
	s.mu.Unlock()
	evicted, err := g.sockets.admit(s)
	if err != nil {
		return err
	}
	if s.Claims() != nil {
		g.startPulse()
	}
	endAll(evicted, ConnectionLimit.End(nil))
	return g.lookAgain(s.Claims())
}

// lookAgain refuses claims that were revoked since they were checked.
func (g *Guard) lookAgain(claims *token.Claims) error {
	if claims != nil && g.revocations != nil && g.revocations.Revoked(claims) {
		return refuse(TokenRevoked, errors.New("revoked while the socket was being opened"))
	}
	return nil
}

// endAll ends sockets for one reason.
func endAll(sessions []*Socket, end *EndError) {
	for _, s := range sessions {
		s.End(end)
	}
}
