package login

import (
	"context"
	"errors"
	"time"

	"wsauth/store"
	"wsauth/token"
)

// hasEnded reports whether a revocation that returned err has taken effect, at
// least on this node.
func hasEnded(err error) bool { return err == nil || errors.Is(err, store.ErrNotDurable) }

// lastToken returns the time at which all tokens of a session of this service
// have expired, including those of a refresh in progress, which may still be
// answered after a revocation.
func (s *Service) lastToken(session store.Session) time.Time {
	last := time.Now().Add(s.config.RefreshTTL)
	if session.Expires.After(last) {
		last = session.Expires
	}
	if last = last.Add(s.config.AccessTTL); last.After(session.Ends) {
		last = session.Ends
	}
	return last.Add(ownLeeway)
}

// ownLeeway is how long the revocation of a session of this service is kept
// after its tokens have expired.
const ownLeeway = time.Minute

// revocationOf returns the revocation of the session of a token, or of the
// token itself if it has none. It is kept as long as the tokens of the session
// live, if the store has it, and otherwise as long as any token can.
func (s *Service) revocationOf(ctx context.Context, claims *token.Claims) store.Revocation {
	if claims.SessionID == "" {
		expires := time.Now().Add(s.config.RefreshTTL + s.config.AccessTTL)
		if own := claims.ValidUntil(); own.After(expires) {
			expires = own
		}
		return store.Revocation{Target: store.TargetToken, ID: claims.ID, Expires: expires}
	}
	session, err := s.sessionOf(ctx, claims)
	if err != nil {
		return revocationOfSession(claims.SessionID, time.Time{})
	}
	expires := s.lastToken(session)
	if own := claims.ValidUntil(); own.After(expires) {
		expires = own
	}
	return revocationOfSession(claims.SessionID, expires)
}

// revocationOfSession returns the revocation of a session whose tokens have all
// expired at a time. The zero time means the maximum lifetime of any token:
// another issuer may issue tokens that live longer than those of this service.
func revocationOfSession(sid string, expires time.Time) store.Revocation {
	return store.Revocation{Target: store.TargetSession, ID: sid, Expires: expires}
}

// End ends a session, with its tokens and sockets, and returns how many
// sockets it had. The session need not be one of this service. After
// [store.ErrNotDurable] it has ended on this node; see [wsauth.Guard.Revoke].
func (s *Service) End(ctx context.Context, sid string) (sockets int, err error) {
	return s.end(ctx, sid, time.Time{})
}

// endSession is End for a session of this service.
func (s *Service) endSession(ctx context.Context, session store.Session) (sockets int, err error) {
	return s.end(ctx, session.ID, s.lastToken(session))
}

// end ends a session whose tokens have expired at a time, as in
// revocationOfSession. It revokes the session first: if the store fails then,
// the session is only still listed.
func (s *Service) end(ctx context.Context, sid string, expires time.Time) (sockets int, err error) {
	sockets, err = s.guard.Revoke(ctx, revocationOfSession(sid, expires))
	if !hasEnded(err) {
		return 0, err
	}
	s.unlist(ctx, sid)
	return sockets, err
}

// unlist removes a session from the store.
func (s *Service) unlist(ctx context.Context, sid string) {
	if err := s.store.EndSession(ctx, sid); err != nil {
		s.log.Error("a session that has ended is still listed", "session", sid, "error", err)
	}
}

// EndUser ends all sessions of a user that started until now, with their tokens
// and sockets, and returns how many there were: for example after the user was
// removed or changed the password. Sessions that start after EndUser has
// returned are not affected. If the sessions cannot be listed, EndUser returns
// an error, but they have ended. After [store.ErrNotDurable] they have ended on
// this node; see [wsauth.Guard.Revoke].
func (s *Service) EndUser(ctx context.Context, subject string) (sessions, sockets int, err error) {
	return s.EndUserBefore(ctx, subject, time.Now())
}

// EndUserBefore is [Service.EndUser] for the sessions that started until a
// time, which must not be in the future. Sessions that seem to start in the
// future were started before the clock was set back. They end, too.
func (s *Service) EndUserBefore(ctx context.Context, subject string, before time.Time) (sessions, sockets int, err error) {
	revocations := []store.Revocation{{Target: store.TargetSubject, ID: subject, Before: before}}
	ahead := map[string]bool{}
	all, listed := s.store.ListSessions(ctx, subject)
	now := time.Now()
	for _, session := range all {
		if session.Started.After(now) {
			ahead[session.ID] = true
			revocations = append(revocations, revocationOfSession(session.ID, s.lastToken(session)))
		}
	}
	sockets, err = s.guard.Revoke(ctx, revocations...)
	if !hasEnded(err) {
		return 0, 0, err
	}
	if listed == nil {
		all, listed = s.store.ListSessions(ctx, subject)
	}
	for _, session := range all {
		if session.Started.After(before) && !ahead[session.ID] {
			continue
		}
		sessions++
		s.unlist(ctx, session.ID)
	}
	return sessions, sockets, errors.Join(err, listed, nextMillisecond(ctx, before))
}

// EndAllBefore ends the sessions of all users that started until a time, which
// must not be in the future, and returns how many sockets they had.
func (s *Service) EndAllBefore(ctx context.Context, before time.Time) (sockets int, err error) {
	sockets, err = s.guard.Revoke(ctx, store.Revocation{Target: store.TargetAll, Before: before})
	if !hasEnded(err) {
		return 0, err
	}
	return sockets, errors.Join(err, nextMillisecond(ctx, before))
}

// nextMillisecond waits until a new session cannot start in the same
// millisecond as a time, which has usually passed already.
func nextMillisecond(ctx context.Context, t time.Time) error {
	next := time.UnixMilli(t.UnixMilli() + 1)
	for time.Now().UnixMilli() < next.UnixMilli() {
		timer := time.NewTimer(time.Until(next))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	return nil
}
