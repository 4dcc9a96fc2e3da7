package login

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"time"

	"wsauth"
	"wsauth/store"
	"wsauth/token"
)

// Tokens are the tokens of one session that were just issued.
type Tokens struct {
	Access  *token.Token
	Refresh *token.Token // nil if only the access token is new
	cookies bool         // made for cookies
}

// spreadFrom is the minimum lifetime of an access token that is spread.
const spreadFrom = time.Minute

var (
	// errSessionOver means that a session has no whole second left to live.
	errSessionOver = errors.New("login: the session is over")

	// errNoToken means that no token can be issued for a user.
	errNoToken = errors.New("login: no token")

	// errClockBehind means that every new token of the user would be revoked,
	// because the clock is behind the time until which sessions were ended.
	errClockBehind = errors.New("the clock is behind a revocation of all sessions of this user or of all users: was it set back?")

	// errTokenAhead means that the clock is behind the time at which this service
	// issued a token.
	errTokenAhead = errors.New("the clock is behind the time at which this server issued the refresh token: was it set back?")

	// errEndedMeanwhile means that the sessions of a user were ended while another
	// was being started.
	errEndedMeanwhile = errors.New("the sessions of this user were ended in the meantime")
)

// issue issues an access token of a session, and its current refresh token.
func (s *Service) issue(session store.Session, cookies, fresh bool) (Tokens, error) {
	t, err := s.issueAccess(session, cookies, fresh)
	if err != nil {
		return Tokens{}, err
	}
	o := token.Options{SessionID: session.ID, ID: session.Current, CSRF: cookies}
	end := session.Expires
	if session.Ends.Before(end) {
		end = session.Ends
	}
	t.Refresh, err = issueUntil(end, s.config.RefreshTTL, func(ttl time.Duration) (*token.Token, error) {
		o.TTL = ttl
		return s.issuer.Refresh(session.Subject, o)
	})
	return t, err
}

// issueAccess issues an access token of a session.
func (s *Service) issueAccess(session store.Session, cookies, fresh bool) (Tokens, error) {
	o := token.Options{SessionID: session.ID, CSRF: cookies, Fresh: fresh}
	access, err := issueUntil(session.Ends, spreadTTL(s.config.AccessTTL, session.ID), func(ttl time.Duration) (*token.Token, error) {
		o.TTL = ttl
		return s.issuer.Access(session.Subject, o)
	})
	return Tokens{Access: access, cookies: cookies}, err
}

// issueUntil issues a token with a lifetime of ttl, or until the end of its
// session if that is earlier.
func issueUntil(end time.Time, ttl time.Duration, issue func(ttl time.Duration) (*token.Token, error)) (*token.Token, error) {
	left := time.Duration(end.Unix()-time.Now().Unix()) * time.Second
	for ttl = min(ttl, left); ttl >= time.Second; ttl -= time.Second { // once, or twice if a new second has started
		t, err := issue(ttl)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNoToken, err)
		}
		if !t.Claims.ExpiresAt.After(end) {
			return t, nil
		}
	}
	return nil, errSessionOver
}

// spreadTTL returns a random part of 90 to 100 % of ttl, in whole seconds, or
// ttl if that is short. It is the same for all tokens of a session: otherwise a
// later token could expire before an earlier one, and renew nothing.
func spreadTTL(ttl time.Duration, sid string) time.Duration {
	if ttl < spreadFrom {
		return ttl
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(sid)) // never fails
	most := uint64(ttl / 10 / time.Second)
	return ttl - time.Duration(hash.Sum64()%(most+1))*time.Second
}

// checkAlive returns an error with the reason if an access token that was just
// issued would be refused.
func (s *Service) checkAlive(ctx context.Context, access *token.Token) error {
	claims, err := s.verifier.Verify(ctx, access.Raw) // with the leeway of the guard
	if refused, ok := errors.AsType[*token.Error](err); ok {
		return fmt.Errorf("%w: the guard would refuse it: %w", errNoToken, refused)
	}
	if err != nil {
		return err
	}
	return s.checkIssued(ctx, claims)
}

// checkNext is checkAlive for the tokens that would be issued now for a
// refresh token with these claims.
func (s *Service) checkNext(ctx context.Context, claims *token.Claims) error {
	next := *claims
	next.IssuedAt = time.Now()
	return s.checkIssued(ctx, &next)
}

// checkIssued returns an error with the reason if tokens with these claims are
// revoked.
func (s *Service) checkIssued(ctx context.Context, claims *token.Claims) error {
	if revoked, err := s.guard.Revoked(ctx, claims); !revoked {
		return err
	}
	inASecond := &token.Claims{Subject: claims.Subject, IssuedAt: time.Now().Add(time.Second)} // the client may try again then
	switch revoked, err := s.guard.Revoked(ctx, inASecond); {
	case err != nil:
		return err
	case revoked:
		return errClockBehind
	}
	return errEndedMeanwhile
}

// isAhead reports whether the refresh token of r was refused with err only
// because the clock was set back after it was issued: the store has its
// session.
func (s *Service) isAhead(ctx context.Context, r *http.Request, err error) bool {
	if !errors.Is(err, token.ErrIssuedInFuture) && !errors.Is(err, token.ErrNotYetValid) {
		return false
	}
	claims, err := s.ending.Check(r, wsauth.Refresh)
	if err != nil {
		return false
	}
	_, err = s.sessionOf(ctx, claims)
	return err == nil
}

// endAhead ends the session of a token that was issued before the clock was
// set back. If the store does not have the session, a revocation of all
// sessions that started until now would not cover it.
func (s *Service) endAhead(ctx context.Context, claims *token.Claims) (sockets int, err error) {
	if !claims.IssuedFrom().After(time.Now()) {
		return 0, nil
	}
	return s.guard.Revoke(ctx, s.revocationOf(ctx, claims))
}
