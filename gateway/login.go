package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"wsauth/store"
)

const (
	maxName     = 256  // bytes of a user name, as many as a token's subject may have
	maxPassword = 1024 // bytes
	maxSessions = 100  // of one user; one more ends that which was used least lately
)

// A loginRequest is the body of POST /auth/login. A member that is absent is nil.
type loginRequest struct {
	Username *string `json:"username"`
	Password *string `json:"password"`
	Cookies  bool    `json:"cookies"`
}

// fault says what is missing or too long, or "".
func (l loginRequest) fault() string {
	switch {
	case l.Username == nil || *l.Username == "":
		return "username is required"
	case len(*l.Username) > maxName:
		return "username is longer than 256 bytes"
	}
	return passwordFault(l.Password)
}

func passwordFault(password *string) string {
	switch {
	case password == nil:
		return "password is required"
	case len(*password) > maxPassword:
		return "password is longer than 1024 bytes"
	}
	return ""
}

// login answers POST /auth/login: it begins a session, and issues the two tokens that belong to it.
func (g *Gateway) login(w http.ResponseWriter, r *http.Request) {
	var body loginRequest
	if !readJSON(w, r, &body) {
		return
	}
	if fault := body.fault(); fault != "" {
		problemHandler(http.StatusUnprocessableEntity, "invalid_request", fault)(w, r)
		return
	}
	if body.Cookies && g.losesCookies(r) {
		problemHandler(http.StatusForbidden, "origin_not_allowed", "Pages of this origin cannot have cookies here: log in without them, or set auth.cors.credentials")(w, r)
		return
	}
	// The session begins before the password is looked at: when that is changed meanwhile, and who logged in with the old one is
	// revoked, this login is among them.
	began, sid := time.Now(), store.NewSessionID()
	name := *body.Username
	log := g.log.With("user", printable(name), "remote", r.RemoteAddr)
	if g.checkPassword(w, r, newCaller(r.RemoteAddr, name, g.deviceOf(r, name, began)), *body.Password, log) {
		g.beginSession(w, r, log, body.Cookies, store.Family{
			ID: sid, Subject: name, Current: rand.Text(),
			Began: began, Rotated: began, Expires: began.Add(g.refreshTTL), Ends: began.Add(g.sessionTTL),
			Remote: host(r.RemoteAddr), Agent: visible(r.UserAgent()),
		})
	}
}

// beginSession answers with the first two tokens of a new session.
func (g *Gateway) beginSession(w http.ResponseWriter, r *http.Request, log *slog.Logger, cookies bool, family store.Family) {
	tokens, err := g.issue(family, cookies, true)
	if err != nil {
		g.cannotIssue(w, r, err)
		return
	}
	ctx, cancel := storing(r)
	defer cancel()
	if err := g.checkAlive(ctx, tokens.access); err != nil {
		g.bornRevoked(w, r, log, "login failed", err)
		return
	}
	if err := g.makeRoom(ctx, family.Subject); err != nil {
		g.unavailable(w, r, "login failed", err)
		return
	}
	if err := g.store.BeginFamily(ctx, family); err != nil {
		g.unavailable(w, r, "login failed", err)
		return
	}
	if err := g.checkAlive(ctx, tokens.access); err != nil {
		g.unlist(ctx, family.ID)
		g.bornRevoked(w, r, log, "login failed", err)
		return
	}
	g.setDevice(w, r, family.Subject, time.Now())
	log.Info("logged in", "session", family.ID, "cookies", cookies)
	g.answer(w, r, tokens)
}

// makeRoom ends the sessions of a user that are too many with another one.
func (g *Gateway) makeRoom(ctx context.Context, name string) error {
	families, err := g.store.ListFamilies(ctx, name)
	if err != nil || len(families) < maxSessions {
		return err
	}
	slices.SortFunc(families, func(a, b store.Family) int {
		return cmp.Or(a.Rotated.Compare(b.Rotated), a.Began.Compare(b.Began))
	})
	for _, f := range families[:len(families)-maxSessions+1] {
		if _, err := g.endSession(ctx, f); err != nil && !errors.Is(err, store.ErrNotDurable) {
			return err
		}
		g.log.Info("session ended", "reason", "too_many", "user", printable(name), "session", f.ID)
	}
	return nil
}
