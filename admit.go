package wsauth

import (
	"errors"

	"wsauth/internal/ratelimit"
	"wsauth/token"
)

// admit lets a socket in, and from then on it can be found and ended. Only
// after that does it ask once more whether the token was revoked: a revocation
// in between has either found the socket, or is found now.
func (g *Guard) admit(s *Session, early int) error {
	if early > 0 {
		// A client waits for the answer before it sends (RFC 6455 section
		// 4.1); what comes earlier may be a request that a proxy in front of
		// us took for part of this one.
		return refuseWith(InvalidHandshake, "Data came before the handshake was answered")
	}
	s.mu.Lock()
	s.endsBy()
	s.mu.Unlock()
	gone, err := g.sockets.admit(s)
	if err != nil {
		return err
	}
	endAll(gone, ConnectionLimit.End(nil))
	return g.lookAgain(s.Claims())
}

// lookAgain refuses claims that were revoked since they were checked.
func (g *Guard) lookAgain(claims *token.Claims) error {
	if claims != nil && g.revocations != nil && g.revocations.Revoked(claims) {
		return refuse(TokenRevoked, errors.New("revoked while the socket was being opened"))
	}
	return nil
}

// admit notes an open socket, unless the guard is closing or a limit stands
// against it. It returns the sockets that have to go for it.
func (r *registry) admit(s *Session) ([]*Session, error) {
	if r.limits.PerAddress > 0 || s.waits {
		s.network = ratelimit.Network(s.remote)
	}
	if s.waits {
		if err := r.unknown(s.network); err != nil {
			return nil, err
		}
		s.counted = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return nil, refuse(Restarting, nil)
	}
	var gone []*Session
	if r.limits.PerAddress > 0 {
		// Who is not known does not push out who is.
		oldest, err := r.room(byAddress, s.network, r.limits.PerAddress, s.Claims() != nil)
		if err != nil {
			return nil, err
		}
		gone = appendSession(gone, oldest)
	}
	more, err := r.identify(s, s.Claims())
	if err != nil {
		return nil, err
	}
	if r.limits.PerAddress > 0 {
		r.add(byAddress, s.network, s)
	}
	r.order.add(s)
	s.admitted = true
	return append(gone, more...), nil
}

// identify files a socket under what its token says, or refuses it. It returns
// the sockets that have to go for it. The caller holds the lock.
func (r *registry) identify(s *Session, claims *token.Claims) ([]*Session, error) {
	if claims == nil {
		return nil, nil
	}
	var gone []*Session
	for _, n := range []struct {
		grain grain
		name  string
		most  int
	}{
		{byToken, claims.ID, 0},
		{bySession, claims.SessionID, r.limits.PerSession},
		{bySubject, claims.Subject, r.limits.PerSubject},
	} {
		if n.name == "" {
			continue
		}
		oldest, err := r.room(n.grain, n.name, n.most, true)
		if err != nil {
			return nil, err
		}
		gone = appendSession(gone, oldest)
		r.add(n.grain, n.name, s)
	}
	return gone, nil
}

func appendSession(all []*Session, s *Session) []*Session {
	if s == nil {
		return all
	}
	return append(all, s)
}

// endAll ends sockets for one reason.
func endAll(sessions []*Session, end *EndError) {
	for _, s := range sessions {
		s.End(end)
	}
}
