package login

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"wsauth"
	"wsauth/internal/logtext"
	"wsauth/store"
	"wsauth/token"
)

// refreshTokens accepts each refresh token once. A token that is presented
// again may have been stolen: its session ends (RFC 9700 section 4.14.2).
type refreshTokens struct {
	store   store.Sessions
	guard   *wsauth.Guard
	revoker *revoker
	log     *slog.Logger

	ttl, grace, retry time.Duration // of Config; 0 instead of a negative value
}

// rotate exchanges a refresh token for another in the store, and returns its
// session. key is the hash of the Idempotency-Key, or zero.
func (t *refreshTokens) rotate(ctx context.Context, claims *token.Claims, c client, key store.KeyHash) (store.Session, error) {
	rotation := store.Rotation{
		Subject:    claims.Subject,
		ID:         claims.SessionID,
		Generation: claims.Generation,
		From:       claims.ID,
		To:         rand.Text(),
		Key:        key,
		Grace:      t.grace,
		Retry:      t.retry,
		Expires:    time.Now().Add(t.ttl),
		Remote:     c.host,
		Agent:      c.agent,
	}
	session, err := t.store.RotateSession(ctx, rotation)
	session, err = t.orReused(ctx, claims, session, err, func(old store.Session) (store.Session, error) { return old.Rotate(rotation, time.Now()) })
	if errors.Is(err, store.ErrReused) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrInvalid) {
		return store.Session{}, &refusal{t.endReused(ctx, claims, session, err, "remote", c.addr)}
	}
	return session, err
}

// present presents a refresh token to the store, without exchanging it; see
// [Service.Present].
func (t *refreshTokens) present(ctx context.Context, claims *token.Claims, attrs ...any) error {
	shown := store.Presentation{Subject: claims.Subject, ID: claims.SessionID, Token: claims.ID, Generation: claims.Generation, Grace: t.grace}
	session, err := t.store.PresentSession(ctx, shown)
	session, err = t.orReused(ctx, claims, session, err, func(old store.Session) (store.Session, error) { return old.Present(shown, time.Now()) })
	switch {
	case err == nil, errors.Is(err, store.ErrNotFound):
		return nil
	case errors.Is(err, store.ErrReused):
		return t.endReused(ctx, claims, session, err, attrs...)
	}
	return errUnavailable(err)
}

// presentToEnd is like present, for a request that ends the session. If the
// store cannot record that the token was presented but can return the session,
// presentToEnd returns no error, so that the session can end.
func (t *refreshTokens) presentToEnd(ctx context.Context, claims *token.Claims, attrs ...any) error {
	err := t.present(ctx, claims, attrs...)
	if !errors.Is(err, wsauth.StoreUnavailable) {
		return err
	}
	if _, unread := t.store.FindSession(ctx, claims.Subject, claims.SessionID); isFailure(unread) {
		return err
	}
	return nil
}

// orReused returns the store's answer to a presented refresh token: session and
// err. If the store failed but can still be read, and the token was used
// before, the error is [store.ErrReused]: a full disk must not hide a theft.
// take computes what the store would have answered.
func (t *refreshTokens) orReused(ctx context.Context, claims *token.Claims, session store.Session, err error, take func(store.Session) (store.Session, error)) (store.Session, error) {
	if !isFailure(err) || ctx.Err() != nil { // after a timeout the store may have changed
		return session, err
	}
	old, unread := t.store.FindSession(ctx, claims.Subject, claims.SessionID)
	if unread != nil {
		return session, err
	}
	if _, reused := take(old); errors.Is(reused, store.ErrReused) {
		return old, fmt.Errorf("%w: %w", reused, err)
	}
	return session, err
}

// isFailure reports whether an error of the store is not part of its contract.
func isFailure(err error) bool {
	return err != nil && !errors.Is(err, store.ErrReused) && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrInvalid)
}

// endReused ends a session whose refresh token the store refused with reason,
// and returns the refusal of that token. The store may have deleted the session
// already, but its access tokens are still valid. session is the deleted
// session, if any. attrs are added to the log.
func (t *refreshTokens) endReused(ctx context.Context, claims *token.Claims, session store.Session, reason error, attrs ...any) error {
	revocation := t.revoker.revocation(session)
	if session.ID == "" {
		revocation = t.revoker.revocationOf(ctx, claims)
	}
	sockets, err := t.guard.Revoke(ctx, revocation)
	if errors.Is(err, store.ErrNotDurable) {
		t.log.Error("a session has ended on this node only", "session", logtext.Short(claims.SessionID), "error", err)
	} else if !store.InEffect(err) {
		t.log.Error("cannot end a session", "reason", "store_unavailable", "error", err)
		return errUnavailable(err)
	}
	log := t.log.With("user", logtext.Short(claims.Subject), "session", logtext.Short(claims.SessionID), "sockets", sockets).With(attrs...)
	if errors.Is(reason, store.ErrReused) {
		log.Warn("session ended", "reason", "refresh_token_reused")
	} else {
		log.Info("session ended", "reason", "unknown")
	}
	return errSessionEnded(reason)
}
