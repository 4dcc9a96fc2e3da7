package login

import (
	"errors"
	"net/http"

	"wsauth"
	"wsauth/internal/logtext"
	"wsauth/internal/problem"
	"wsauth/store"
	"wsauth/token"
)

// logout answers POST /logout: it ends the session with its tokens and
// sockets. It accepts either token of the session, since users whose access
// token has expired may want to log out, too.
func (h *handlers) logout(w http.ResponseWriter, r *http.Request) {
	claims, err := h.anyToken(r)
	if err != nil {
		h.respond.refuse(w, r, err)
		return
	}
	ctx, cancel := problem.Storing(r)
	defer cancel()
	sockets, err := h.revoker.end(ctx, claims.Subject, h.revoker.revocationOf(ctx, claims))
	if store.InEffect(err) {
		h.cookies.clear(w, r)
	}
	attrs := []any{"user", logtext.Short(claims.Subject), "session", logtext.Short(claims.SessionID), "sockets", sockets}
	if err = problem.Accepted(h.log, err, attrs...); err != nil {
		h.respond.storeFailed(w, r, "logout failed", err, attrs...)
		return
	}
	h.log.Info("logged out", attrs...)
	w.WriteHeader(http.StatusNoContent)
}

// A logoutEverywhereAnswer contains the numbers of sessions and sockets that
// have ended.
type logoutEverywhereAnswer struct {
	Sessions int `json:"sessions"`
	Sockets  int `json:"sockets"`
}

// logoutEverywhere answers POST /logout-everywhere: it ends all sessions of
// the user. It accepts either token, as logout does.
func (h *handlers) logoutEverywhere(w http.ResponseWriter, r *http.Request) {
	claims, err := h.anyToken(r)
	if err != nil {
		h.respond.refuse(w, r, err)
		return
	}
	ctx, cancel := problem.Storing(r)
	defer cancel()
	sessions, sockets, err := h.revoker.endUserOf(ctx, claims)
	if store.InEffect(err) {
		h.cookies.clear(w, r)
	}
	attrs := []any{"user", logtext.Short(claims.Subject), "sessions", sessions, "sockets", sockets}
	if err = problem.Accepted(h.log, err, attrs...); err != nil {
		h.respond.storeFailed(w, r, "logout failed", err, attrs...)
		return
	}
	h.log.Info("logged out everywhere", attrs...)
	problem.WriteJSON(w, logoutEverywhereAnswer{sessions, sockets})
}

// anyToken checks r for an access token or, failing that, a refresh token. If
// both are refused, [anyRefusal] chooses the error.
func (h *handlers) anyToken(r *http.Request) (*token.Claims, error) {
	claims, err := h.ending.Check(r, wsauth.Access)
	if err == nil {
		return claims, nil
	}
	claims, refreshErr := h.ending.Check(r, wsauth.Refresh)
	if refreshErr == nil {
		ctx, cancel := problem.Storing(r)
		defer cancel()
		return claims, h.refreshTokens.presentToEnd(ctx, claims, "remote", r.RemoteAddr)
	}
	return nil, anyRefusal(err, refreshErr, h.cookies.areCredential(r))
}

// anyRefusal chooses the refusal that the client receives: err from the check
// for an access token, or refreshErr from that for a refresh token. If the
// token is not an access token, refreshErr is returned: it may be a refresh
// token that was revoked between the two checks. If the access cookie has
// expired, was revoked or is missing, the request depends on the refresh
// cookie, and refreshErr is returned, unless there is no refresh token either.
func anyRefusal(err, refreshErr error, byCookie bool) error {
	if errors.Is(err, wsauth.WrongTokenType) {
		return refreshErr
	}
	if byCookie && (isPermanent(err) || errors.Is(err, wsauth.TokenMissing)) && !errors.Is(refreshErr, wsauth.TokenMissing) {
		return refreshErr
	}
	return err
}
