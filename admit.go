package wsauth

import (
	"errors"

	"wsauth/internal/ratelimit"
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

// admit notes an open socket, unless the guard is closing or a limit stands
// against it. It returns the sockets that have to go for it.
func (r *registry) admit(s *Socket) ([]*Socket, error) {
	if r.limits.PerAddress > 0 || s.waits {
		s.network = ratelimit.Network(s.remote)
	}
	if s.waits {
		if err := r.reserveAnonymous(s); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return nil, refuse(Restarting, nil)
	}
	evicted, err := r.enter(s, s.Claims())
	if err != nil {
		return nil, err
	}
	r.order.add(s)
	s.admitted = true
	return evicted, nil
}

// enter files a socket under its address and under what its claims say, or
// refuses it, in which case nothing has changed. It returns the sockets that
// are to be ended for it. r.mu must be held.
func (r *registry) enter(s *Socket, claims *token.Claims) ([]*Socket, error) {
	places := r.placesOf(s, claims)
	evictions, err := r.makeRoom(places, claims != nil)
	if err != nil {
		return nil, err
	}
	evicted := r.evict(evictions)
	for _, p := range places {
		r.add(p.grain, p.name, s)
	}
	return evicted, nil
}

// placesOf returns the places in which a socket is to be counted, those that
// it has already left out. The narrower limit comes first: a socket that goes
// for it often makes room under the others as well.
func (r *registry) placesOf(s *Socket, claims *token.Claims) []place {
	places := make([]place, 0, grains)
	if claims != nil {
		for _, p := range [...]place{
			{byToken, claims.ID, 0},
			{bySession, claims.SessionID, r.limits.PerSession},
			{bySubject, claims.Subject, r.limits.PerSubject},
			{byIssuer, claims.IssuerSubject, 0},
		} {
			if p.name != "" {
				places = append(places, p)
			}
		}
	}
	if r.limits.PerAddress > 0 && s.links[byAddress].next == nil {
		places = append(places, place{byAddress, s.network, r.limits.PerAddress})
	}
	return places
}

// endAll ends sockets for one reason.
func endAll(sessions []*Socket, end *EndError) {
	for _, s := range sessions {
		s.End(end)
	}
}
