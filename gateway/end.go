package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"wsauth/store"
	"wsauth/token"
)

// storeTimeout is how long one request may keep the store busy.
const storeTimeout = 5 * time.Second

// storing is the context of what a request changes in the store. It outlives a client that is gone: a page that is closed right
// after its "log out" is logged out.
func storing(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.Context()), storeTimeout)
}

// maximum is when no token is valid any more that anybody has issued until
// now: "wsauth token issue" and providers may let theirs live longer than the
// gateway does.
func maximum() time.Time { return time.Now().Add(MaxTTL + time.Minute) }

// lastToken is when no token of a session that began here is valid any more.
// A refresh that is under way counts, which no revocation keeps from being
// answered.
func (g *Gateway) lastToken(f store.Family) time.Time {
	last := time.Now().Add(g.refreshTTL)
	if f.Expires.After(last) {
		last = f.Expires
	}
	if last = last.Add(g.accessTTL); last.After(f.Ends) {
		last = f.Ends
	}
	return last.Add(ownLeeway)
}

// ownLeeway is how much longer than its tokens the revocation of a session of
// our own is kept.
const ownLeeway = time.Minute

// revocationOf ends the session of a token, or the token itself if it belongs
// to none. A session that began here is revoked for as long as its tokens
// live, and any other for as long as any token can.
func (g *Gateway) revocationOf(ctx context.Context, claims *token.Claims) store.Revocation {
	if claims.SessionID == "" {
		expires := time.Now().Add(g.refreshTTL + g.accessTTL)
		if own := claims.ValidUntil(); own.After(expires) {
			expires = own
		}
		return store.Revocation{Scope: store.Token, ID: claims.ID, Expires: expires}
	}
	f, err := g.familyOf(ctx, claims)
	if err != nil {
		return revocationOfSession(claims.SessionID, maximum())
	}
	expires := g.lastToken(f)
	if own := claims.ValidUntil(); own.After(expires) {
		expires = own
	}
	return revocationOfSession(claims.SessionID, expires)
}

func revocationOfSession(sid string, expires time.Time) store.Revocation {
	return store.Revocation{Scope: store.Session, ID: sid, Expires: expires}
}

// endSession ends a session that began here.
func (g *Gateway) endSession(ctx context.Context, f store.Family) (sockets int, err error) {
	return g.endAnySession(ctx, f.ID, g.lastToken(f))
}

// endAnySession ends one session and its sockets, and says how many they were.
// No token of it is good after that. It is revoked first: what fails then is
// only that it is listed no more. With [store.ErrNotDurable] it has ended all
// the same.
func (g *Gateway) endAnySession(ctx context.Context, sid string, expires time.Time) (sockets int, err error) {
	sockets, err = g.guard.Revoke(ctx, revocationOfSession(sid, expires))
	if err != nil && !errors.Is(err, store.ErrNotDurable) {
		return 0, err
	}
	g.unlist(ctx, sid)
	return sockets, err
}

func (g *Gateway) unlist(ctx context.Context, sid string) {
	if err := g.store.EndFamily(ctx, sid); err != nil {
		g.log.Error("a session that has ended is still listed", "session", sid, "err", err)
	}
}

// EndUser ends every session of a user that began until now, with all of its
// sockets, and says how many they were: the user was removed, or has another
// password. Sessions that begin after it has returned are others. Where the
// sessions cannot be listed the error says so, and they have ended all the
// same; so they have, on this node, with [store.ErrNotDurable].
func (g *Gateway) EndUser(ctx context.Context, name string) (sessions, sockets int, err error) {
	return g.endUser(ctx, name, time.Now())
}

// endUser is EndUser for the sessions that began until a moment, which is not
// in the future. Sessions that began after now did so before the clock was set
// back. They end too.
func (g *Gateway) endUser(ctx context.Context, name string, before time.Time) (sessions, sockets int, err error) {
	revocations := []store.Revocation{{Scope: store.Subject, ID: name, Before: before, Expires: maximum()}}
	ahead := map[string]bool{}
	families, listed := g.store.ListFamilies(ctx, name)
	now := time.Now()
	for _, f := range families {
		if f.Began.After(now) {
			ahead[f.ID] = true
			revocations = append(revocations, revocationOfSession(f.ID, g.lastToken(f)))
		}
	}
	sockets, err = g.guard.Revoke(ctx, revocations...)
	if err != nil && !errors.Is(err, store.ErrNotDurable) {
		return 0, 0, err
	}
	if listed == nil {
		families, listed = g.store.ListFamilies(ctx, name)
	}
	for _, f := range families {
		if f.Began.After(before) && !ahead[f.ID] {
			continue
		}
		sessions++
		g.unlist(ctx, f.ID)
	}
	return sessions, sockets, errors.Join(err, listed, nextMillisecond(ctx, before))
}

// EndEveryone is EndUser for all users, and says how many sockets were open: who may log in is decided in another way from now on.
func (g *Gateway) EndEveryone(ctx context.Context) (sockets int, err error) {
	return g.endEveryone(ctx, time.Now())
}

// endEveryone is EndEveryone for the sessions that began until a moment, which is not in the future.
func (g *Gateway) endEveryone(ctx context.Context, before time.Time) (sockets int, err error) {
	sockets, err = g.guard.Revoke(ctx, store.Revocation{Scope: store.Everything, Before: before, Expires: maximum()})
	if err != nil && !errors.Is(err, store.ErrNotDurable) {
		return 0, err
	}
	return sockets, errors.Join(err, nextMillisecond(ctx, before))
}

// nextMillisecond waits until a session that begins is not of the same millisecond as the moment. It has mostly passed.
func nextMillisecond(ctx context.Context, moment time.Time) error {
	next := time.UnixMilli(moment.UnixMilli() + 1)
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
