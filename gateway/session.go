package gateway

import (
	"cmp"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"wsauth"
	"wsauth/token"
)

// sessionKey is what a logout denies: the session of a token, or the token itself if it belongs to none.
func sessionKey(claims *token.Claims) string { return cmp.Or(claims.SessionID, claims.ID) }

// session answers GET /auth/session with the claims of the access token, as they were signed.
func (g *Gateway) session(w http.ResponseWriter, r *http.Request) {
	claims, err := g.guard.Check(r, wsauth.Access)
	if err != nil {
		g.guard.Refuse(w, r, err)
		return
	}
	writeJSON(w, jsontext.Value(claims.Payload()))
}

// refresh answers POST /auth/refresh with a new access token of the same session, which is not fresh. It comes in the form of the
// refresh token: one with a csrf claim lives in a cookie, so the new one goes there too, and no script ever reads it.
func (g *Gateway) refresh(w http.ResponseWriter, r *http.Request) {
	claims, err := g.guard.Check(r, wsauth.Refresh)
	if err != nil {
		g.guard.Refuse(w, r, err)
		return
	}
	inCookies := claims.CSRF != ""
	access, err := g.issuer.Access(claims.Subject, token.Options{SessionID: claims.SessionID, CSRF: inCookies})
	if err != nil {
		g.cannotIssue(w, r, err)
		return
	}
	g.log.Info("refreshed", "user", printable(claims.Subject), "session", claims.SessionID)
	if inCookies {
		g.answerCookies(w, r, access, nil)
	} else {
		g.answerTokens(w, access, nil)
	}
}

// logout answers POST /auth/logout. It takes either token of the session, because a person whose access token has expired may
// want to leave too.
func (g *Gateway) logout(w http.ResponseWriter, r *http.Request) {
	claims, err := g.guard.Check(r, wsauth.Access)
	if err != nil {
		var refreshErr error
		if claims, refreshErr = g.guard.Check(r, wsauth.Refresh); refreshErr != nil {
			g.guard.Refuse(w, r, err)
			return
		}
	}
	if err := g.denied.add(sessionKey(claims), time.Now(), g.sessionTTL); err != nil {
		g.log.Error("logout failed", "user", printable(claims.Subject), "session", claims.SessionID, "err", err)
		problem(http.StatusServiceUnavailable, "store_unavailable", "The session cannot be ended now; try again")(w, r)
		return
	}
	g.log.Info("logged out", "user", printable(claims.Subject), "session", claims.SessionID)
	g.cookies.Clear(w, r)
	w.WriteHeader(http.StatusNoContent)
}
