package login

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"wsauth"
	"wsauth/store"
	"wsauth/token"
)

// A revoker ends sessions: it revokes their tokens.
type revoker struct {
	guard *wsauth.Guard
	store store.Sessions
	log   *slog.Logger

	accessTTL, refreshTTL time.Duration
}

// now returns the time by the clock of the store, or by that of this server if
// the store does not answer.
func (v *revoker) now(ctx context.Context) time.Time {
	now, err := v.store.Now(ctx)
	if err != nil {
		return time.Now()
	}
	return now
}

// lastToken returns the time at which all tokens of a session of this service
// have expired. This includes tokens of a refresh in progress, which may be
// answered after a revocation.
func (v *revoker) lastToken(session store.Session) time.Time {
	last := time.Now().Add(v.refreshTTL)
	if session.Expires.After(last) {
		last = session.Expires
	}
	if last = last.Add(v.accessTTL); last.After(session.Ends) {
		last = session.Ends
	}
	return last.Add(ownLeeway)
}

// ownLeeway is how long the revocation of a session of this service is kept
// after the tokens of the session have expired.
const ownLeeway = time.Minute

// revocation returns the revocation of a session of this service. The
// revocation is kept as long as the tokens of the session live.
func (v *revoker) revocation(session store.Session) store.Revocation {
	return store.Revocation{Target: store.TargetSession, ID: session.ID, Expires: v.lastToken(session)}
}

// revocationOf returns the revocation of the session of a token, or of the
// token itself if it has no session. If the store has the session, the
// revocation is kept as long as its tokens live, otherwise as long as any token
// can live.
func (v *revoker) revocationOf(ctx context.Context, claims *token.Claims) store.Revocation {
	r := store.Revocation{Target: store.TargetToken, ID: claims.ID, Expires: time.Now().Add(v.refreshTTL + v.accessTTL)}
	if claims.SessionID != "" {
		session, err := v.store.FindSession(ctx, claims.Subject, claims.SessionID)
		if err != nil {
			return revocationOfAny(claims.SessionID)
		}
		r = v.revocation(session)
	}
	if own := claims.ValidUntil(); own.After(r.Expires) {
		r.Expires = own
	}
	return r
}

// revocationOfAny returns the revocation of a session that may belong to
// another issuer. It is kept as long as any token can live, because tokens of
// another issuer may live longer than those of this service.
func revocationOfAny(sid string) store.Revocation {
	return store.Revocation{Target: store.TargetSession, ID: sid}
}

// end ends a session of a subject, or a token without one, and returns how many
// sockets it had. It revokes the session before it deletes it from the store:
// if the deletion fails, the session has ended but is still listed.
func (v *revoker) end(ctx context.Context, subject string, r store.Revocation) (sockets int, err error) {
	sockets, err = v.guard.Revoke(ctx, r)
	if store.InEffect(err) && r.Target == store.TargetSession {
		v.unlist(ctx, subject, r.ID)
	}
	return sockets, err
}

// unlist removes a session of a subject from the store.
func (v *revoker) unlist(ctx context.Context, subject, sid string) {
	if err := v.store.EndSession(ctx, subject, sid); err != nil {
		v.log.Error("a session that has ended is still listed", "session", sid, "error", err)
	}
}

// endUser ends the sessions of a user that started at or before a time; see
// [Service.EndUserBefore].
func (v *revoker) endUser(ctx context.Context, subject string, before time.Time) (sessions, sockets int, err error) {
	revocations := []store.Revocation{{Target: store.TargetSubject, ID: subject, Before: before}}
	ahead, revoked := map[string]bool{}, map[string]bool{}
	all, listed := v.store.ListSessions(ctx, subject)
	now := v.now(ctx)
	for _, session := range all {
		if already, err := v.isRevoked(ctx, session); err == nil {
			revoked[session.ID] = already
		}
		if session.Started.After(now) {
			ahead[session.ID] = true
			revocations = append(revocations, v.revocation(session))
		}
	}
	sockets, err = v.guard.Revoke(ctx, revocations...)
	if !store.InEffect(err) {
		return 0, 0, err
	}
	if listed == nil {
		all, listed = v.store.ListSessions(ctx, subject)
	}
	for _, session := range all {
		if session.Started.After(before) && !ahead[session.ID] {
			continue
		}
		if !revoked[session.ID] {
			sessions++
		}
		v.unlist(ctx, session.Subject, session.ID)
	}
	return sessions, sockets, errors.Join(err, listed, v.nextMillisecond(ctx, before))
}

// isRevoked reports whether a session of this service has been revoked.
func (v *revoker) isRevoked(ctx context.Context, session store.Session) (bool, error) {
	return v.guard.Revoked(ctx, &token.Claims{Subject: session.Subject, SessionID: session.ID, IssuedAt: session.Rotated})
}

// endUserOf ends the sessions of the user of a token. If the token was issued
// before the clock was set back, endUserOf also revokes its session. A
// revocation of all sessions that started until now does not cover that
// session, and the store may not have it.
func (v *revoker) endUserOf(ctx context.Context, claims *token.Claims) (sessions, sockets int, err error) {
	ahead := 0
	if claims.IssuedFrom().After(time.Now()) {
		if ahead, err = v.guard.Revoke(ctx, v.revocationOf(ctx, claims)); !store.InEffect(err) {
			return 0, 0, err
		}
	}
	sessions, sockets, failed := v.endUser(ctx, claims.Subject, v.now(ctx))
	return sessions, sockets + ahead, errors.Join(err, failed)
}

// endAll ends the sessions of all users that started at or before a time.
func (v *revoker) endAll(ctx context.Context, before time.Time) (sockets int, err error) {
	sockets, err = v.guard.Revoke(ctx, store.Revocation{Target: store.TargetAll, Before: before})
	if !store.InEffect(err) {
		return 0, err
	}
	return sockets, errors.Join(err, v.nextMillisecond(ctx, before))
}

// nextMillisecond waits until the millisecond of t has passed by the clock of
// the store, so that no new session can start in it. Usually it has passed
// already.
func (v *revoker) nextMillisecond(ctx context.Context, t time.Time) error {
	next := time.UnixMilli(t.UnixMilli() + 1)
	for {
		now := v.now(ctx)
		if now.UnixMilli() >= next.UnixMilli() {
			return nil
		}
		timer := time.NewTimer(next.Sub(now))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
