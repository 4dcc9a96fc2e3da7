package login

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wsauth"
	"wsauth/internal/logtext"
	"wsauth/store"
	"wsauth/token"
)

// Present refuses a refresh token that was verified but has been exchanged
// before, and ends its session. It is for handlers that accept refresh tokens
// without exchanging them, and for [wsauth.Config.Authorize] of a guard that
// does. A token whose sid is not a session of [Config.Store] is accepted:
// another program has issued it. attrs are added to the log. The error is a
// [*wsauth.Error].
func (s *Service) Present(ctx context.Context, claims *token.Claims, attrs ...any) error {
	shown := store.Presentation{ID: claims.SessionID, Token: claims.ID, Grace: max(s.config.RefreshGrace, 0)}
	session, err := s.store.PresentSession(ctx, shown)
	session, err = s.orReused(ctx, claims, session, err, func(old store.Session) (store.Session, error) { return old.Present(shown, time.Now()) })
	switch {
	case err == nil, errors.Is(err, store.ErrNotFound):
		return nil
	case errors.Is(err, store.ErrReused):
		return s.endReused(ctx, claims, session, err, attrs...)
	}
	return errUnavailable(err)
}

// presentToEnd is Present for a request that ends the session. If the store
// cannot record that the token was presented, the session ends nevertheless,
// provided that the store can return it.
func (s *Service) presentToEnd(ctx context.Context, claims *token.Claims, attrs ...any) error {
	err := s.Present(ctx, claims, attrs...)
	if !errors.Is(err, wsauth.StoreUnavailable) {
		return err
	}
	if _, unread := s.sessionOf(ctx, claims); isFailure(unread) {
		return err
	}
	return nil
}

// orReused returns the store's answer to a presented refresh token: session and
// err. If the store failed but can still be read, and the token was used
// before, the error is [store.ErrReused]: a full disk must not hide a theft.
// take computes what the store would have answered.
func (s *Service) orReused(ctx context.Context, claims *token.Claims, session store.Session, err error, take func(store.Session) (store.Session, error)) (store.Session, error) {
	if !isFailure(err) || ctx.Err() != nil { // after a timeout the store may have changed
		return session, err
	}
	old, unread := s.sessionOf(ctx, claims)
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
// and returns the refusal of that token. The store may have ended the session
// already, but not its access tokens. session is the session that the store has
// ended, if any. attrs are added to the log.
func (s *Service) endReused(ctx context.Context, claims *token.Claims, session store.Session, reason error, attrs ...any) error {
	revocation := revocationOfSession(session.ID, s.lastToken(session))
	if session.ID == "" {
		revocation = s.revocationOf(ctx, claims)
	}
	sockets, err := s.guard.Revoke(ctx, revocation)
	if errors.Is(err, store.ErrNotDurable) {
		s.log.Error("a session has ended on this node only", "session", logtext.Short(claims.SessionID), "error", err)
	} else if err != nil {
		s.log.Error("cannot end a session", "reason", "store_unavailable", "error", err)
		return errUnavailable(err)
	}
	log := s.log.With("user", logtext.Short(claims.Subject), "session", logtext.Short(claims.SessionID), "sockets", sockets).With(attrs...)
	if errors.Is(reason, store.ErrReused) {
		log.Warn("session ended", "reason", "refresh_token_reused")
	} else {
		log.Info("session ended", "reason", "unknown")
	}
	return errSessionEnded(reason)
}
