package wsauth

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"wsauth/token"
)

// A socket may be renewed ten times at once, and then once per second.
const (
	renewalBurst = 10
	renewalEvery = time.Second
)

// renewals limits the renewals of a socket, and announces them.
type renewals struct {
	limiter *rate.Limiter // nil before the first renewal
	next    chan struct{} // closed by the next renewal; nil if nothing waits
}

// allow reports whether the client may make the guard verify another token.
func (n *renewals) allow() bool {
	if n.limiter == nil {
		n.limiter = rate.NewLimiter(rate.Every(renewalEvery), renewalBurst)
	}
	return n.limiter.Allow()
}

// announcement returns a channel that announce closes.
func (n *renewals) announcement() <-chan struct{} {
	if n.next == nil {
		n.next = make(chan struct{})
	}
	return n.next
}

func (n *renewals) announce() {
	if n.next != nil {
		close(n.next)
		n.next = nil
	}
}

// errNoSocket is returned when a plain HTTP request is renewed.
var errNoSocket = errors.New("wsauth: only an open socket can be renewed")

// Renew gives an open socket a new token, which its client sends over the
// socket itself. The socket then stays open until the new token expires. The
// token must satisfy the requirement of the route, and have the same subject,
// issuer and session (sid). It must not have fewer audiences than the previous
// token, or be older. Of two tokens of a session, the one with the higher
// [token.Claims.Generation] is newer. If the generations are equal, or absent,
// iat decides, except for the verifier's leeway: a clock may have been set back
// in the meantime.
//
// An error is an [*Error], and has ended the socket with its reason: a client
// that sends another user's token is faulty or hostile. After ten renewals,
// more than one per second ends the socket with RateLimited. StoreUnavailable
// does not end the socket, so that the client can try again. For a plain HTTP
// request, Renew does nothing and returns another error.
func (s *Socket) Renew(ctx context.Context, raw string) error {
	if s.ender == nil {
		return errNoSocket
	}
	s.mu.Lock()
	allowed := s.renewals.allow()
	s.mu.Unlock()
	if !allowed {
		return s.endRefused(refuseWith(RateLimited, "Too many renewals"))
	}
	claims, err := verify(ctx, s.guard.config.Verifier, raw)
	if err == nil {
		err = s.guard.checkClaims(ctx, claims, s.requirement)
	}
	if err == nil {
		err = s.replace(claims)
	}
	return s.endRefused(err)
}

// Renew extends the open sockets of a session to the lifetime of a new access
// token, for example after a refresh over HTTP, and returns their number.
// These are the sockets whose tokens have the same sid, subject and issuer. A
// socket that cannot be renewed with this token is left unchanged, such as one
// of a [Fresh] route or one with a newer token. The token is checked like that
// of a request, and the error is an [*Error].
//
// If Config.Revocations is a [store.Log], Renew also publishes the new claims
// there, and the other nodes that follow the log renew their sockets of the
// session. They are not counted. If that fails, the error is StoreUnavailable,
// and the sockets of this node have been renewed.
func (g *Guard) Renew(ctx context.Context, raw string) (sockets int, err error) {
	claims, err := verify(ctx, g.config.Verifier, raw)
	if err != nil {
		return 0, err
	}
	if err := g.checkClaims(ctx, claims, Access); err != nil {
		return 0, err
	}
	if claims.SessionID == "" {
		return 0, nil
	}
	sockets, err = g.open.renew(ctx, claims)
	if err == nil {
		err = g.revocations.publishRenewal(ctx, claims)
	}
	if err != nil {
		return sockets, refuse(StoreUnavailable, err)
	}
	return sockets, nil
}

// renew replaces the claims of the sockets of a session, as [Guard.Renew] does,
// and returns the number of renewed sockets. The error is that of ctx.
func (o registries) renew(ctx context.Context, claims *token.Claims) (sockets int, err error) {
	for _, s := range o.named(bySession, claims.SessionID) {
		if ctx.Err() != nil {
			return sockets, ctx.Err()
		}
		if s.requirement.check(claims) == nil && s.replace(claims) == nil {
			sockets++
		}
	}
	return sockets, nil
}

// replace replaces the claims of the socket with verified new ones.
func (s *Socket) replace(claims *token.Claims) error {
	if err := checkSuccessor(s.Claims(), claims); err != nil {
		return err
	}
	if err := s.authorize(claims); err != nil { // may block, so s.mu is not held
		return err
	}
	var places *reservation
	if s.guard.open.sockets.shared != nil && s.Claims() == nil {
		var err error
		if places, err = s.guard.open.sockets.reserve(s.Context(), s, claims); err != nil {
			return err
		}
		defer places.release()
	}
	first, err := s.storeClaims(claims, places)
	if err != nil {
		return err
	}
	if first {
		s.guard.report.authenticated(s)
	} else {
		s.guard.report.observer.Renewed(s)
	}
	return nil
}

// storeClaims stores new claims if they may follow the current ones, and
// commits the places. It reports whether the socket had no claims before. As in
// admit, a revocation in the meantime either finds the socket or is found here.
func (s *Socket) storeClaims(claims *token.Claims, places *reservation) (first bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first = s.Claims() == nil
	if err := checkSuccessor(s.Claims(), claims); err != nil {
		return first, err
	}
	if err := s.guard.open.rename(s, claims, places); err != nil {
		return first, err
	}
	now := s.guard.now()
	s.identity.set(claims, now)
	s.expiry.restart(now, claims.ValidUntil().Sub(now))
	if s.end.Load() != nil {
		s.expiry.timer.Stop() // Closed may have stopped it already, and does not stop it again
	}
	if first {
		s.guard.pulse.start()
	}
	if s.ender != nil {
		s.kept.request = nil // only the first message needs the whole handshake
	}
	if s.followed != nil {
		s.followed.overdue = false
	}
	if err := s.guard.revocations.recheck(claims); err != nil {
		s.EndWith(&EndError{Reason: TokenRevoked, Err: err})
		return first, err
	}
	if err := s.checkOpen(); err != nil {
		return first, err
	}
	s.renewals.announce()
	return first, nil
}

// checkSuccessor refuses claims that do not continue the session of old. If
// old is nil, all claims are accepted.
func checkSuccessor(old, claims *token.Claims) error {
	if old == nil {
		return nil
	}
	switch {
	case claims.Subject != old.Subject, claims.IssuerSubject != old.IssuerSubject, claims.Issuer != old.Issuer:
		return refuseWith(NotAuthorized, "The token is another user's")
	case claims.SessionID != old.SessionID:
		return refuseWith(TokenInvalid, "The token is of another session")
	case isOlder(claims, old):
		return refuseWith(TokenInvalid, "The token is older than the one before")
	case slices.ContainsFunc(old.Audience, func(a string) bool { return !slices.Contains(claims.Audience, a) }):
		return refuseWith(TokenInvalid, "The token is for fewer audiences than the one before")
	}
	return nil
}

// isOlder reports whether a token is older than another one of its session.
// Tokens of a session can come from nodes whose clocks differ, so their
// generations decide. If these are equal, iat and exp decide. If a clock was
// set back in the meantime, by no more than the leeway of the verifier, the new
// token may begin and end earlier by that much.
func isOlder(claims, old *token.Claims) bool {
	if claims.Generation != old.Generation {
		return claims.Generation < old.Generation
	}
	back := max(0, old.IssuedAt.Sub(claims.IssuedAt))
	return claims.IssuedAt.Before(old.IssuedFrom()) || claims.ExpiresAt.Before(old.ExpiresAt.Add(-back))
}

// endRefused ends the socket with a refusal, unless it is StoreUnavailable, and
// returns err.
func (s *Socket) endRefused(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Reason != StoreUnavailable {
		s.EndWith(&EndError{Reason: e.Reason, Err: e})
	}
	return err
}

// Renewed returns a channel that is closed when the socket gets its next
// token: by Renew, [Guard.Renew] or [Socket.Authenticate]. Call it before you
// read Claims, and again after each renewal.
func (s *Socket) Renewed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.renewals.announcement()
}

// RequireFresh waits until the socket has a fresh token, for an action that
// requires the password again (step-up). It returns nil immediately if the
// token is fresh already. Otherwise the handler asks its client to log in
// again within the session, and to send the new token over the socket or have
// the server renew its sockets; RequireFresh waits for that. If ctx is done
// first, it returns an [*Error] with FreshTokenRequired, and the socket stays
// open as it was. If the socket ends first, it returns the [*EndError].
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
