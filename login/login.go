package login

import (
	"log/slog"
	"net/http"
	"time"

	"wsauth"
	"wsauth/internal/logtext"
	"wsauth/internal/problem"
	"wsauth/store"
)

const (
	maxName     = 256  // bytes of a user name; the limit of the subject of a token
	maxPassword = 1024 // bytes
)

// A loginRequest is the body of POST /login. An absent member is nil.
type loginRequest struct {
	Username *string `json:"username"`
	Password *string `json:"password"`
	Cookies  bool    `json:"cookies"`
}

// fault returns an error text if a member is missing or too long, or "".
func (l loginRequest) fault() string {
	switch {
	case l.Username == nil || *l.Username == "":
		return "username is required"
	case len(*l.Username) > maxName:
		return "username is longer than 256 bytes"
	}
	return passwordFault(l.Password)
}

// login answers POST /login: it starts a session, and issues its first tokens.
func (h *handlers) login(w http.ResponseWriter, r *http.Request) {
	var body loginRequest
	if !h.respond.readJSON(w, r, &body) {
		return
	}
	if fault := body.fault(); fault != "" {
		h.respond.problem(w, r, http.StatusUnprocessableEntity, "invalid_request", fault)
		return
	}
	if body.Cookies && !h.cookies.enabled {
		h.respond.problem(w, r, http.StatusUnprocessableEntity, "invalid_request", "cookies: this server accepts none; log in without them")
		return
	}
	if body.Cookies && h.origins.losesCookies(r) {
		h.respond.problem(w, r, http.StatusForbidden, "origin_not_allowed", "Pages of this origin cannot have cookies here: log in without them, or set auth.cors.credentials")
		return
	}
	log := loginLog(h.log, r, *body.Username)
	device := h.devices.of(r, *body.Username, time.Now())
	// The session starts before the password is checked. If the password is
	// changed in the meantime and the sessions of its user are ended, this
	// session ends, too.
	var session store.Session
	start := func() (err error) {
		ctx, cancel := problem.Storing(r)
		defer cancel()
		session, err = h.sessions.newSession(ctx, clientOf(r), *body.Username)
		return err
	}
	if err := h.passwords.check(r.Context(), newCaller(r.RemoteAddr, *body.Username, device), *body.Password, start); err != nil {
		h.respond.fail(w, r, log, "login failed", err)
		return
	}
	ctx, cancel := problem.Storing(r)
	defer cancel()
	tokens, err := h.sessions.start(ctx, session, body.Cookies, log)
	if err != nil {
		h.respond.fail(w, r, log, "login failed", err)
		return
	}
	h.devices.set(w, r, session.Subject, time.Now())
	h.respond.tokens(w, r, tokens)
}

// loginLog returns log with the attributes of a login.
func loginLog(log *slog.Logger, r *http.Request, subject string) *slog.Logger {
	return log.With("user", logtext.Short(subject), "remote", r.RemoteAddr)
}

// A freshRequest is the body of POST /fresh.
type freshRequest struct {
	Password *string `json:"password"`
}

// fresh answers POST /fresh: a user who is logged in repeats the password, and
// gets a fresh access token of the same session, in a cookie if the request's
// token was in one. It renews the open sockets of the session.
func (h *handlers) fresh(w http.ResponseWriter, r *http.Request) {
	claims, err := h.guard.Check(r, wsauth.Access)
	if err != nil {
		h.guard.Refuse(w, r, err)
		return
	}
	var body freshRequest
	if !h.respond.readJSON(w, r, &body) {
		return
	}
	if fault := passwordFault(body.Password); fault != "" {
		h.respond.problem(w, r, http.StatusUnprocessableEntity, "invalid_request", fault)
		return
	}
	log := h.log.With("user", logtext.Short(claims.Subject), "session", logtext.Short(claims.SessionID), "remote", r.RemoteAddr)
	c := newCaller(r.RemoteAddr, claims.Subject, "session "+claims.SessionID)
	c.session = true
	if err := h.passwords.check(r.Context(), c, *body.Password, func() error { return nil }); err != nil {
		h.respond.fail(w, r, log, "step-up failed", err)
		return
	}
	ctx, cancel := problem.Storing(r)
	defer cancel()
	tokens, err := h.sessions.stepUp(ctx, claims, log)
	if err != nil {
		h.respond.fail(w, r, log, "step-up failed", err)
		return
	}
	h.respond.tokens(w, r, tokens)
}
