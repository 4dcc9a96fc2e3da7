package login

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"wsauth"
	"wsauth/internal/logtext"
	"wsauth/internal/problem"
	"wsauth/store"
	"wsauth/token"
)

// refresh answers POST /refresh: it exchanges the refresh token for another,
// and issues a new access token of the same session. The access token is not
// fresh. A token with a csrf claim was sent in a cookie, so the new tokens are
// set as cookies, too, and no script can read them. Sockets of the session stay
// open with the new access token.
//
// An answer may be lost. A client that repeats its request with the same
// Idempotency-Key gets the same new refresh token again, until it uses that
// token. Any other use of a token that was exchanged longer ago than
// Config.RefreshGrace ends the session.
func (h *handlers) refresh(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := problem.Storing(r)
	defer cancel()
	claims, err := h.guard.Check(r, wsauth.Refresh)
	if err != nil {
		if h.isAhead(ctx, r, err) {
			h.respond.fail(w, r, h.log.With("remote", r.RemoteAddr), "refresh failed", errTokenAhead)
			return
		}
		h.respond.refuse(w, r, err)
		return
	}
	key, ok := idempotencyKey(r)
	if !ok {
		h.respond.problem(w, r, http.StatusBadRequest, "invalid_request", "Idempotency-Key is one key of 1 to 128 letters, digits and -._~+/=:")
		return
	}
	tokens, err := h.sessions.refresh(ctx, claims, clientOf(r), key)
	if err != nil {
		log := h.log.With("user", logtext.Short(claims.Subject), "session", logtext.Short(claims.SessionID))
		h.respond.fail(w, r, log, "refresh failed", err)
		return
	}
	h.respond.tokens(w, r, tokens)
}

// isAhead reports whether err refused the refresh token of r only because the
// clock was set back after the token was issued. It reports true only if the
// store has the session.
func (h *handlers) isAhead(ctx context.Context, r *http.Request, err error) bool {
	if !errors.Is(err, token.ErrIssuedInFuture) && !errors.Is(err, token.ErrNotYetValid) {
		return false
	}
	claims, err := h.ending.Check(r, wsauth.Refresh)
	if err != nil {
		return false
	}
	_, err = h.sessions.store.FindSession(ctx, claims.Subject, claims.SessionID)
	return err == nil
}

// maxIdempotencyKey is the maximum length of an idempotency key in bytes.
const maxIdempotencyKey = 128

// idempotencyKey returns the hash of the Idempotency-Key of r, which is zero if
// r has none. It reports false if the header is not exactly one key: 1 to 128
// characters of the alphabet of isNoKeyCharacter, as they are or in quotation
// marks as in draft-ietf-httpapi-idempotency-key-header. Both forms are the
// same key.
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

// isNoKeyCharacter reports whether c is not allowed in an idempotency key. The
// allowed characters include those of UUIDs, base64 and base64url. None of them
// needs to be escaped within quotation marks, and none separates the items of a
// list.
func isNoKeyCharacter(c rune) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return false
	}
	return !strings.ContainsRune("-._~+/=:", c)
}
