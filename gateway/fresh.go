package gateway

import (
	"context"
	"errors"
	"net/http"

	"wsauth"
	"wsauth/store"
	"wsauth/token"
)

// A freshRequest is the body of POST /auth/fresh.
type freshRequest struct {
	Password *string `json:"password"`
}

// fresh answers POST /auth/fresh: whoever is logged in gives the password again, and gets an access token of the same session that
// is fresh, in the form of the one that came. The open sockets of the session are renewed with it.
func (g *Gateway) fresh(w http.ResponseWriter, r *http.Request) {
	claims, err := g.guard.Check(r, wsauth.Access)
	if err != nil {
		g.guard.Refuse(w, r, err)
		return
	}
	var body freshRequest
	if !readJSON(w, r, &body) {
		return
	}
	if fault := passwordFault(body.Password); fault != "" {
		problemHandler(http.StatusUnprocessableEntity, "invalid_request", fault)(w, r)
		return
	}
	log := g.log.With("user", printable(claims.Subject), "session", printable(claims.SessionID), "remote", r.RemoteAddr)
	c := newCaller(r.RemoteAddr, claims.Subject, "session "+claims.SessionID)
	c.session = true
	if !g.checkPassword(w, r, c, *body.Password, log) {
		return
	}
	ctx, cancel := storing(r)
	defer cancel()
	family, err := g.familyOf(ctx, claims)
	switch {
	case errors.Is(err, store.ErrNotFound):
		g.sessionEnded(w, r, err)
		return
	case err != nil:
		g.unavailable(w, r, "step-up failed", err)
		return
	}
	tokens, err := g.issueAccess(family, claims.CSRF != "", true)
	if err != nil {
		g.cannotIssue(w, r, err)
		return
	}
	switch err := g.checkAlive(ctx, tokens.access); {
	case errors.Is(err, errEndedMeanwhile):
		g.sessionEnded(w, r, err)
		return
	case err != nil:
		g.bornRevoked(w, r, log, "step-up failed", err)
		return
	}
	log.Info("stepped up", "sockets", g.renew(ctx, tokens.access))
	g.answer(w, r, tokens)
}

// familyOf finds the session of a token, or [store.ErrNotFound].
func (g *Gateway) familyOf(ctx context.Context, claims *token.Claims) (store.Family, error) {
	families, err := g.store.ListFamilies(ctx, claims.Subject)
	if err != nil {
		return store.Family{}, err
	}
	for _, f := range families {
		if f.ID == claims.SessionID {
			return f, nil
		}
	}
	return store.Family{}, store.ErrNotFound
}
