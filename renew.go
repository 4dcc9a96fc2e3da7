package wsauth

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"wsauth/token"
)

// A socket may be renewed ten times at once, and once a second from then on.
const (
	renewalBurst = 10
	renewalEvery = time.Second
)

// errNoSocket is the error of renewing a plain HTTP request.
var errNoSocket = errors.New("wsauth: only an open socket can be renewed")

// Renew gives an open socket a new token, which a client sends over the socket
// itself: it stays open as long as the new token is valid. The token must
// satisfy the route's requirement, be of the same subject, issuer and session
// (sid), and be no older and no narrower than the one before. The verifier's
// leeway for iat is allowed for, since its clock may have been set back in
// between.
//
// An error is an [*Error], and has ended the socket with its reason: a client
// that sends another user's token is confused or hostile. The exception is
// StoreUnavailable: the socket stays as it was, for another try. After ten
// renewals, those that come faster than once a second end the socket with
// RateLimited.
func (s *Socket) Renew(ctx context.Context, raw string) error {
	if s.ender == nil {
		return errNoSocket
	}
	if err := s.mayTry(); err != nil {
		return err
	}
	claims, err := s.guard.verify(ctx, raw)
	if err == nil {
		err = s.guard.checkClaims(ctx, claims, s.requirement)
	}
	if err == nil {
		err = s.replace(claims)
	}
	return s.refused(err)
}

// Renew extends the open sockets of a session to the life of a new access
// token, as after a refresh over HTTP, and returns how many they are. They are
// those whose token has the same sid, subject and issuer. A socket that the
// new token is not good for stays as it was, such as one of a [Fresh] route,
// or one that has a newer token already. The token itself is checked as that
// of a request, and the error is an [*Error].
func (g *Guard) Renew(ctx context.Context, raw string) (sockets int, err error) {
	claims, err := g.verify(ctx, raw)
	if err != nil {
		return 0, err
	}
	if err := g.checkClaims(ctx, claims, Access); err != nil {
		return 0, err
	}
	if claims.SessionID == "" {
		return 0, nil
	}
	for _, s := range g.named(bySession, claims.SessionID) {
		if ctx.Err() != nil {
			return sockets, refuse(StoreUnavailable, ctx.Err())
		}
		if s.requirement.check(claims) == nil && s.replace(claims) == nil {
			sockets++
		}
	}
	return sockets, nil
}

// replace gives the socket new claims, which were checked by themselves.
func (s *Socket) replace(claims *token.Claims) error {
	if err := checkSuccessor(s.Claims(), claims); err != nil {
		return err
	}
	if err := s.guard.authorize(s.request, claims); err != nil { // may wait, and so without the lock
		return err
	}
	first, err := s.store(claims)
	if err != nil {
		return err
	}
	if first {
		s.tellAuthenticated()
	} else {
		s.guard.config.Observer.Renewed(s)
	}
	return nil
}

// store gives the socket new claims, if they still succeed those that it has.
// first reports that it had none. As in admit, a revocation in between either
// finds the socket or is found here.
func (s *Socket) store(claims *token.Claims) (first bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first = s.Claims() == nil
	if err := checkSuccessor(s.Claims(), claims); err != nil {
		return first, err
	}
	if err := s.register(claims); err != nil {
		return first, err
	}
	s.setClaims(claims)
	if s.followed != nil {
		s.followed.overdue = false
	}
	s.resetTimer()
	if err := s.guard.lookAgain(claims); err != nil {
		s.End(TokenRevoked.End(err))
		return first, err
	}
	if err := s.over(); err != nil {
		return first, err
	}
	if s.renewed != nil {
		close(s.renewed)
		s.renewed = nil
	}
	return first, nil
}

// register has the registry find the socket by its new claims. s.mu must be
// held.
func (s *Socket) register(claims *token.Claims) error {
	if s.Claims() != nil {
		return s.guard.registryOf(s).rename(s, claims)
	}
	evicted, err := s.guard.sockets.authenticate(s, claims)
	if err != nil {
		return err
	}
	s.guard.startPulse()
	endEvicted(evicted)
	return nil
}

// checkSuccessor refuses claims that do not continue the session of old; any
// do for a socket that had none. The clock may have been set back in between,
// within the leeway of the verifier: a new token then begins and ends that
// much earlier.
func checkSuccessor(old, claims *token.Claims) error {
	if old == nil {
		return nil
	}
	back := max(0, old.IssuedAt.Sub(claims.IssuedAt))
	switch {
	case claims.Subject != old.Subject, claims.IssuerSubject != old.IssuerSubject, claims.Issuer != old.Issuer:
		return refuseWith(NotAuthorized, "The token is another user's")
	case claims.SessionID != old.SessionID:
		return refuseWith(TokenInvalid, "The token is of another session")
	case claims.IssuedAt.Before(old.IssuedFrom()), claims.ExpiresAt.Before(old.ExpiresAt.Add(-back)):
		return refuseWith(TokenInvalid, "The token is older than the one before")
	case slices.ContainsFunc(old.Audience, func(a string) bool { return !slices.Contains(claims.Audience, a) }):
		return refuseWith(TokenInvalid, "The token is for fewer audiences than the one before")
	}
	return nil
}

// mayTry bounds how often a client may make the guard verify a token.
func (s *Socket) mayTry() error {
	s.mu.Lock()
	if s.renewals == nil {
		s.renewals = rate.NewLimiter(rate.Every(renewalEvery), renewalBurst)
	}
	allowed := s.renewals.Allow()
	s.mu.Unlock()
	if allowed {
		return nil
	}
	return s.refused(refuseWith(RateLimited, "Too many renewals"))
}

// refused ends the socket with a refusal, and returns it.
func (s *Socket) refused(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Reason != StoreUnavailable {
		s.End(e.Reason.End(e))
	}
	return err
}

// Renewed returns a channel that is closed when the socket gets its next
// token: by Renew, by [Guard.Renew], or by [Socket.Authenticate]. Call it
// before you look at Claims, and again after each renewal.
func (s *Socket) Renewed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.renewed == nil {
		s.renewed = make(chan struct{})
	}
	return s.renewed
}

// RequireFresh is the step up before an action that needs the password again:
// it returns nil once the socket has a token that is fresh, at once if it has.
// Otherwise the handler tells its client, which logs in anew within its session
// and sends the token over the socket or has the server renew its sockets.
// RequireFresh waits for that until ctx is done: then it returns an [*Error]
// with FreshTokenRequired, and the socket stays as it was. If the socket ends
// meanwhile, it returns the [*EndError].
//
// Do not wait in the goroutine that reads the client's messages.
func (s *Socket) RequireFresh(ctx context.Context) error {
	for {
		renewed := s.Renewed()
		if end := s.end.Load(); end != nil {
			return end
		}
		if claims := s.Claims(); claims != nil && claims.Fresh {
			return nil
		}
		select {
		case <-renewed:
		case <-s.Context().Done():
			return context.Cause(s.Context())
		case <-ctx.Done():
			return refuse(FreshTokenRequired, ctx.Err())
		}
	}
}
