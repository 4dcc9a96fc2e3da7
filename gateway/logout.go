package gateway

import (
	"net/http"

	"wsauth"
	"wsauth/token"
)

// logout answers POST /auth/logout: the session ends, with its tokens and its sockets. It takes either token of the session,
// because a person whose access token has expired may want to leave too.
func (g *Gateway) logout(w http.ResponseWriter, r *http.Request) {
	claims, err := g.anyToken(r)
	if err != nil {
		g.guard.Refuse(w, r, err)
		return
	}
	ctx, cancel := storing(r)
	defer cancel()
	sockets, err := g.guard.Revoke(ctx, g.revocationOf(claims))
	if err != nil {
		g.unavailable(w, r, "logout failed", err)
		return
	}
	g.unlist(ctx, claims.SessionID)
	g.log.Info("logged out", "user", printable(claims.Subject), "session", claims.SessionID, "sockets", sockets)
	g.cookies.Clear(w, r)
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
		g.guard.Refuse(w, r, err)
		return
	}
	ctx, cancel := storing(r)
	defer cancel()
	sessions, sockets, err := g.EndUser(ctx, claims.Subject)
	if err != nil {
		g.unavailable(w, r, "logout failed", err)
		return
	}
	g.log.Info("logged out everywhere", "user", printable(claims.Subject), "sessions", sessions, "sockets", sockets)
	g.cookies.Clear(w, r)
	writeJSON(w, logoutEverywhereAnswer{sessions, sockets})
}

// anyToken checks r for an access token or, failing that, a refresh token.
func (g *Gateway) anyToken(r *http.Request) (*token.Claims, error) {
	claims, err := g.guard.Check(r, wsauth.Access)
	if err == nil {
		return claims, nil
	}
	if claims, refreshErr := g.guard.Check(r, wsauth.Refresh); refreshErr == nil {
		return claims, nil
	}
	return nil, err
}
