package login

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"time"

	"wsauth"
	"wsauth/internal/logtext"
	"wsauth/internal/problem"
	"wsauth/store"
	"wsauth/token"
)

// refresh answers POST /refresh: it exchanges the refresh token for another,
// and issues a new access token of the same session, which is not fresh. A
// token with a csrf claim is in a cookie. Its successors go to cookies as
// well, so that no script ever reads them. Sockets of the session stay open
// with the new access token.
//
// An answer may be lost. A client that repeats its request with the
// Idempotency-Key of the first try gets the same refresh token again, as long
// as that was not presented. Any other refresh token that was exchanged
// before, and not just now, may have been stolen: the session ends (RFC 9700
// section 4.14.2).
func (s *Service) refresh(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := problem.Storing(r)
	defer cancel()
	claims, err := s.guard.Check(r, wsauth.Refresh)
	if err != nil {
		if s.isAhead(ctx, r, err) {
			s.fail(w, r, s.log.With("remote", r.RemoteAddr), "refresh failed", errTokenAhead)
			return
		}
		s.refuse(w, r, err)
		return
	}
	key, ok := idempotencyKey(r)
	if !ok {
		s.problem(w, r, http.StatusBadRequest, "invalid_request", "Idempotency-Key is one key of 1 to 128 letters, digits and -._~+/=:")
		return
	}
	log := s.log.With("user", logtext.Short(claims.Subject), "session", logtext.Short(claims.SessionID))
	if err := s.checkNext(ctx, claims); err != nil && !errors.Is(err, errEndedMeanwhile) { // the store decides that
		s.fail(w, r, log, "refresh failed", err)
		return
	}
	session, err := s.rotate(ctx, r, claims, key)
	switch {
	case errors.Is(err, store.ErrReused), errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrInvalid):
		s.refuse(w, r, s.endReused(ctx, claims, session, err, "remote", r.RemoteAddr))
		return
	case err != nil:
		s.storeFailed(w, r, "refresh failed", err)
		return
	}
	tokens, err := s.issue(session, claims.CSRF != "", false)
	if err != nil {
		s.fail(w, r, log, "refresh failed", err)
		return
	}
	s.log.Info("refreshed", "user", logtext.Short(claims.Subject), "session", session.ID, "sockets", s.renew(ctx, tokens.Access))
	s.answer(w, r, tokens)
}

// rotate presents a refresh token to the store, to exchange it.
func (s *Service) rotate(ctx context.Context, r *http.Request, claims *token.Claims, key store.KeyHash) (store.Session, error) {
	rotation := store.Rotation{
		ID:      claims.SessionID,
		From:    claims.ID,
		To:      rand.Text(),
		Key:     key,
		Grace:   max(s.config.RefreshGrace, 0),
		Retry:   max(s.config.RefreshRetry, 0),
		Expires: time.Now().Add(s.config.RefreshTTL),
		Remote:  logtext.Host(r.RemoteAddr),
		Agent:   logtext.Visible(r.UserAgent()),
	}
	session, err := s.store.RotateSession(ctx, rotation)
	return s.orReused(ctx, claims, session, err, func(old store.Session) (store.Session, error) { return old.Rotate(rotation, time.Now()) })
}

// renew renews the open sockets of a session with its new access token, and
// returns their number. If it fails, they end when their current token expires.
func (s *Service) renew(ctx context.Context, access *token.Token) int {
	sockets, err := s.guard.Renew(ctx, access.Raw)
	if err != nil {
		s.log.Error("cannot renew sockets", "session", access.Claims.SessionID, "error", err)
	}
	return sockets
}

// maxIdempotencyKey is the maximum length of an idempotency key in bytes.
const maxIdempotencyKey = 128

// idempotencyKey returns the hash of the Idempotency-Key of r, which is zero
// if r has none. It reports false if the header is not exactly one key: 1 to
// 128 characters of the alphabet of isNoKeyCharacter, as they are or in
// quotation marks, as draft-ietf-httpapi-idempotency-key-header writes them.
// Both spellings are the same key.
func idempotencyKey(r *http.Request) (store.KeyHash, bool) {
	lines := r.Header["Idempotency-Key"]
	if len(lines) == 0 {
		return store.KeyHash{}, true
	}
	key := strings.Trim(lines[0], " \t")
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	if len(lines) > 1 || key == "" || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, isNoKeyCharacter) {
		return store.KeyHash{}, false
	}
	return store.HashKey(key), true
}

// isNoKeyCharacter reports whether c may not be in an idempotency key. The
// alphabet includes UUIDs, base64 and base64url. None of its characters has to
// be escaped in quotation marks or separates the items of a list.
func isNoKeyCharacter(c rune) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return false
	}
	return !strings.ContainsRune("-._~+/=:", c)
}
