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

// expires is when no token is valid any more that the gateway has issued until now, or is just issuing.
func (g *Gateway) expires() time.Time { return time.Now().Add(g.refreshTTL + g.accessTTL) }

// expiresAll is when no token is valid any more that anybody has issued until now: "wsauth token issue" and providers may let theirs
// live longer than the gateway does.
func expiresAll() time.Time { return time.Now().Add(MaxTTL + time.Minute) }

// revocationOf ends the session of a token, or the token itself if it belongs to none. Logouts come by the thousand, so it is kept no
// longer than for the tokens of this gateway and the one that was shown.
func (g *Gateway) revocationOf(claims *token.Claims) store.Revocation {
	expires := g.expires()
	if own := claims.ValidUntil(); own.After(expires) {
		expires = own
	}
	if claims.SessionID == "" {
		return store.Revocation{Scope: store.Token, ID: claims.ID, Expires: expires}
	}
	return store.Revocation{Scope: store.Session, ID: claims.SessionID, Expires: expires}
}

// endSession ends one session and its sockets, and says how many they were. It is revoked first, and after that no token of it is
// good for anything, whoever has issued it: what fails then is only that it is listed no more.
func (g *Gateway) endSession(ctx context.Context, sid string) (sockets int, err error) {
	sockets, err = g.guard.Revoke(ctx, store.Revocation{Scope: store.Session, ID: sid, Expires: expiresAll()})
	if err != nil {
		return 0, err
	}
	g.unlist(ctx, sid)
	return sockets, nil
}

func (g *Gateway) unlist(ctx context.Context, sid string) {
	if err := g.store.EndFamily(ctx, sid); err != nil {
		g.log.Error("a session that has ended is listed yet", "session", sid, "err", err)
	}
}

// EndUser ends every session of a user that began until now, with all of its sockets, and says how many they were: the user was
// removed, or has another password. Sessions that begin after it has returned are others. Where the sessions cannot be listed the
// error says so, and they have ended all the same.
func (g *Gateway) EndUser(ctx context.Context, name string) (sessions, sockets int, err error) {
	return g.endUser(ctx, name, time.Now())
}

// endUser is EndUser for the sessions that began until a moment, which is not in the future.
func (g *Gateway) endUser(ctx context.Context, name string, before time.Time) (sessions, sockets int, err error) {
	sockets, err = g.guard.Revoke(ctx, store.Revocation{Scope: store.Subject, ID: name, Before: before, Expires: expiresAll()})
	if err != nil {
		return 0, 0, err
	}
	families, err := g.store.ListFamilies(ctx, name)
	for _, f := range families {
		if f.Began.After(before) {
			continue
		}
		sessions++
		g.unlist(ctx, f.ID)
	}
	return sessions, sockets, errors.Join(err, nextMillisecond(ctx, before))
}

// EndEveryone is EndUser for all users, and says how many sockets were open: who may log in is decided in another way from now on.
func (g *Gateway) EndEveryone(ctx context.Context) (sockets int, err error) {
	return g.endEveryone(ctx, time.Now())
}

// endEveryone is EndEveryone for the sessions that began until a moment, which is not in the future.
func (g *Gateway) endEveryone(ctx context.Context, before time.Time) (sockets int, err error) {
	sockets, err = g.guard.Revoke(ctx, store.Revocation{Scope: store.Everything, Before: before, Expires: expiresAll()})
	if err != nil {
		return 0, err
	}
	return sockets, nextMillisecond(ctx, before)
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
