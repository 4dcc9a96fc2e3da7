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

// expires is when no token is valid any more that was issued until now, or is just being issued.
func (g *Gateway) expires() time.Time { return time.Now().Add(g.refreshTTL + g.accessTTL) }

// revocationOf ends the session of a token, or the token itself if it belongs to none.
func (g *Gateway) revocationOf(claims *token.Claims) store.Revocation {
	if claims.SessionID == "" {
		return store.Revocation{Scope: store.Token, ID: claims.ID, Expires: g.expires()}
	}
	return store.Revocation{Scope: store.Session, ID: claims.SessionID, Expires: g.expires()}
}

// endSession ends one session and its sockets, and says how many they were. It is revoked first, and after that no token of it is
// good for anything: what fails then is only that it is listed no more.
func (g *Gateway) endSession(ctx context.Context, sid string) (sockets int, err error) {
	sockets, err = g.guard.Revoke(ctx, store.Revocation{Scope: store.Session, ID: sid, Expires: g.expires()})
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
	now := time.Now()
	sockets, err = g.guard.Revoke(ctx, store.Revocation{Scope: store.Subject, ID: name, Before: now, Expires: g.expires()})
	if err != nil {
		return 0, 0, err
	}
	families, err := g.store.ListFamilies(ctx, name)
	for _, f := range families {
		if f.Began.After(now) {
			continue
		}
		sessions++
		g.unlist(ctx, f.ID)
	}
	return sessions, sockets, errors.Join(err, nextMillisecond(ctx, now))
}

// EndEveryone is EndUser for all users, and says how many sockets were open: who may log in is decided in another way from now on.
func (g *Gateway) EndEveryone(ctx context.Context) (sockets int, err error) {
	now := time.Now()
	sockets, err = g.guard.Revoke(ctx, store.Revocation{Scope: store.Everything, Before: now, Expires: g.expires()})
	if err != nil {
		return 0, err
	}
	return sockets, nextMillisecond(ctx, now)
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
