package gateway

import (
	"errors"
	"net/http"

	"wsauth"
	"wsauth/store"
	"wsauth/token"
)

// logout answers POST /auth/logout: the session ends, with its tokens and its sockets. It takes either token of the session,
// because a person whose access token has expired may want to leave too.
func (g *Gateway) logout(w http.ResponseWriter, r *http.Request) {
	claims, err := g.anyToken(r)
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	ctx, cancel := storing(r)
	defer cancel()
	sockets, err := g.guard.Revoke(ctx, g.revocationOf(ctx, claims))
	ended := err == nil || errors.Is(err, store.ErrNotDurable)
	if ended && claims.SessionID != "" {
		g.unlist(ctx, claims.SessionID)
	}
	if err != nil {
		g.clearEnded(w, r, err)
		g.cannotEnd(w, r, "logout failed", err, "user", printable(claims.Subject), "session", printable(claims.SessionID), "sockets", sockets)
		return
	}
	g.log.Info("logged out", "user", printable(claims.Subject), "session", printable(claims.SessionID), "sockets", sockets)
	g.clearCookies(w, r)
	w.WriteHeader(http.StatusNoContent)
}

// A logoutEverywhereAnswer counts what has ended.
type logoutEverywhereAnswer struct {
	Sessions int `json:"sessions"`
	Sockets  int `json:"sockets"`
}

// logoutEverywhere answers POST /auth/logout-everywhere: every session of the user ends. It takes either token, as logout does.
func (g *Gateway) logoutEverywhere(w http.ResponseWriter, r *http.Request) {
	claims, err := g.anyToken(r)
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	ctx, cancel := storing(r)
	defer cancel()
	var sessions, sockets int
	ahead, err := g.endAhead(ctx, claims)
	if err == nil || errors.Is(err, store.ErrNotDurable) {
		var failed error
		sessions, sockets, failed = g.EndUser(ctx, claims.Subject)
		sockets, err = sockets+ahead, errors.Join(err, failed)
	}
	if err != nil {
		g.clearEnded(w, r, err)
		g.cannotEnd(w, r, "logout failed", err, "user", printable(claims.Subject), "sessions", sessions, "sockets", sockets)
		return
	}
	g.log.Info("logged out everywhere", "user", printable(claims.Subject), "sessions", sessions, "sockets", sockets)
	g.clearCookies(w, r)
	writeJSON(w, logoutEverywhereAnswer{sessions, sockets})
}

// anyToken checks r for an access token or, failing that, a refresh token. An access token that is dead, or that the browser has
// dropped, is no reason to refuse r where the refresh token is refused for another: that one may live.
func (g *Gateway) anyToken(r *http.Request) (*token.Claims, error) {
	claims, err := g.ending.Check(r, wsauth.Access)
	if err == nil {
		return claims, nil
	}
	claims, refreshErr := g.ending.Check(r, wsauth.Refresh)
	if refreshErr == nil {
		ctx, cancel := storing(r)
		defer cancel()
		return claims, g.presentToEnd(ctx, claims, "remote", r.RemoteAddr)
	}
	return nil, anyRefusal(err, refreshErr, byCookie(r))
}

// anyRefusal returns which of the refusals of both checks the client is told.
// A token that is no access token is judged by the check for refresh tokens
// alone: it may have been revoked between the two checks.
func anyRefusal(err, refreshErr error, byCookie bool) error {
	if errors.Is(err, wsauth.WrongTokenType) {
		return refreshErr
	}
	if byCookie && (dead(err) || errors.Is(err, wsauth.TokenMissing)) && !errors.Is(refreshErr, wsauth.TokenMissing) {
		return refreshErr
	}
	return err
}
