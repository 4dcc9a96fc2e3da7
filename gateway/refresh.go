package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"wsauth"
	"wsauth/store"
	"wsauth/token"
)

// refresh answers POST /auth/refresh: the refresh token is exchanged for another, and comes with a new access token of the same
// session, which is not fresh. Both have the form of the one that came: one with a csrf claim lives in a cookie, so the new ones
// go there too, and no script ever reads them. Sockets of the session live on with the new access token.
//
// An answer can be lost. A client that repeats its request with the
// Idempotency-Key of the first try gets the same refresh token again, as long
// as that one was not presented. Any other refresh token that was exchanged
// before, and not just now, may have been stolen: the session ends (RFC 9700
// section 4.14.2).
func (g *Gateway) refresh(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := storing(r)
	defer cancel()
	claims, err := g.guard.Check(r, wsauth.Refresh)
	if err != nil {
		if g.isAhead(ctx, r, err) {
			g.bornRevoked(w, r, g.log.With("remote", r.RemoteAddr), "refresh failed", errTokenAhead)
			return
		}
		g.refuse(w, r, err)
		return
	}
	key, ok := idempotencyKey(r)
	if !ok {
		problemHandler(http.StatusBadRequest, "invalid_request", "Idempotency-Key is one key of 1 to 128 letters, digits and -._~+/=:")(w, r)
		return
	}
	if err := g.checkNext(ctx, claims); err != nil && !errors.Is(err, errEndedMeanwhile) { // of which the store knows more
		g.bornRevoked(w, r, g.log.With("user", printable(claims.Subject), "session", printable(claims.SessionID)), "refresh failed", err)
		return
	}
	family, err := g.rotate(ctx, r, claims, key)
	switch {
	case errors.Is(err, store.ErrReused), errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrInvalid):
		g.refuse(w, r, g.endReused(ctx, claims, family, err, "remote", r.RemoteAddr))
		return
	case err != nil:
		g.unavailable(w, r, "refresh failed", err)
		return
	}
	tokens, err := g.issue(family, claims.CSRF != "", false)
	if err != nil {
		g.cannotIssue(w, r, err)
		return
	}
	g.log.Info("refreshed", "user", printable(claims.Subject), "session", family.ID, "sockets", g.renew(ctx, tokens.access))
	g.answer(w, r, tokens)
}

// rotate presents the refresh token to the store, to be exchanged.
func (g *Gateway) rotate(ctx context.Context, r *http.Request, claims *token.Claims, key store.KeyHash) (store.Family, error) {
	rotation := store.Rotation{
		ID:      claims.SessionID,
		From:    claims.ID,
		To:      rand.Text(),
		Key:     key,
		Grace:   g.refreshGrace,
		Retry:   g.refreshRetry,
		Expires: time.Now().Add(g.refreshTTL),
		Remote:  host(r.RemoteAddr),
		Agent:   visible(r.UserAgent()),
	}
	family, err := g.store.RotateFamily(ctx, rotation)
	return g.orReused(ctx, claims, family, err, func(f store.Family) (store.Family, error) { return f.Rotate(rotation, time.Now()) })
}

// orReused returns what the store has answered to the step of a refresh token.
// It is [store.ErrReused] where the store failed and can still be read, and
// the token was used before: a full disk must not hide a theft. take is that
// step.
func (g *Gateway) orReused(ctx context.Context, claims *token.Claims, family store.Family, err error, take func(store.Family) (store.Family, error)) (store.Family, error) {
	if !isFailure(err) || ctx.Err() != nil { // a step whose time is up may have been taken
		return family, err
	}
	f, unread := g.familyOf(ctx, claims)
	if unread != nil {
		return family, err
	}
	if _, reused := take(f); errors.Is(reused, store.ErrReused) {
		return f, fmt.Errorf("%w: %w", reused, err)
	}
	return family, err
}

// isFailure reports whether an error of the store is none of its contract.
func isFailure(err error) bool {
	return err != nil && !errors.Is(err, store.ErrReused) && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrInvalid)
}

// present refuses a refresh token that is good by itself and was exchanged
// before, and then ends its session. One that is not exchanged here is
// presented all the same. A token whose sid is no session of the store is no
// part of a rotation: it was made by hand. about is more to log.
func (g *Gateway) present(ctx context.Context, claims *token.Claims, about ...any) error {
	shown := store.Presentation{ID: claims.SessionID, Token: claims.ID, Grace: g.refreshGrace}
	family, err := g.store.PresentFamily(ctx, shown)
	family, err = g.orReused(ctx, claims, family, err, func(f store.Family) (store.Family, error) { return f.Present(shown, time.Now()) })
	switch {
	case err == nil, errors.Is(err, store.ErrNotFound):
		return nil
	case errors.Is(err, store.ErrReused):
		return g.endReused(ctx, claims, family, err, about...)
	}
	return errUnavailable(err)
}

// presentToEnd is present for a request that ends the session. What the store
// cannot write down of the token does not keep it from ending, as long as it
// can tell whose session it is.
func (g *Gateway) presentToEnd(ctx context.Context, claims *token.Claims, about ...any) error {
	err := g.present(ctx, claims, about...)
	if !errors.Is(err, wsauth.StoreUnavailable) {
		return err
	}
	if _, unread := g.familyOf(ctx, claims); isFailure(unread) {
		return err
	}
	return nil
}

// endReused ends a session whose refresh token is not the current one, for a
// reason that the store gave, and returns the refusal of that token. The
// session may have ended in the store already, but not its access tokens:
// family is what the store has ended, if it has. about is more to log.
func (g *Gateway) endReused(ctx context.Context, claims *token.Claims, family store.Family, reason error, about ...any) error {
	revocation := revocationOfSession(family.ID, g.lastToken(family))
	if family.ID == "" {
		revocation = g.revocationOf(ctx, claims)
	}
	sockets, err := g.guard.Revoke(ctx, revocation)
	if errors.Is(err, store.ErrNotDurable) {
		g.log.Error("a session has ended on this node only", "session", printable(claims.SessionID), "err", err)
	} else if err != nil {
		g.log.Error("cannot end a session", "reason", "store_unavailable", "err", err)
		return errUnavailable(err)
	}
	log := g.log.With("user", printable(claims.Subject), "session", printable(claims.SessionID), "sockets", sockets).With(about...)
	if errors.Is(reason, store.ErrReused) {
		log.Warn("session ended", "reason", "refresh_token_reused")
	} else {
		log.Info("session ended", "reason", "unknown")
	}
	return errSessionEnded(reason)
}

// renew lets the open sockets of a session live as long as its new access token, and says how many they are. Where it cannot,
// they end when they would have.
func (g *Gateway) renew(ctx context.Context, access *token.Token) int {
	sockets, err := g.guard.Renew(ctx, access.Raw)
	if err != nil {
		g.log.Error("cannot renew sockets", "session", access.Claims.SessionID, "err", err)
	}
	g.live.review(g.guard.Concerned(store.Revocation{Scope: store.Session, ID: access.Claims.SessionID}))
	return sockets
}
