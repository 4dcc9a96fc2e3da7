package gateway

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"wsauth"
	"wsauth/internal/problem"
	"wsauth/store"
)

// A tokenAnswer carries tokens to a client that keeps them itself (RFC 6749 section 5.1).
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitzero"` // absent when it stays what it was
	TokenType    string `json:"token_type"`             // always Bearer
	ExpiresIn    int64  `json:"expires_in"`             // seconds that the access token lives
}

// A cookieAnswer tells a page what it must repeat beside the cookies, which it cannot read.
type cookieAnswer struct {
	CSRFToken        string `json:"csrf_token"`
	RefreshCSRFToken string `json:"refresh_csrf_token,omitzero"` // absent when it stays what it was
	ExpiresIn        int64  `json:"expires_in"`                  // seconds that the access token lives
	Warning          string `json:"warning,omitzero"`            // why the cookies do not last
}

// answer hands tokens out: in the body, or in cookies with their CSRF values in the body.
func (g *Gateway) answer(w http.ResponseWriter, r *http.Request, t tokens) {
	if t.cookies {
		g.answerCookies(w, r, t)
		return
	}
	answer := tokenAnswer{AccessToken: t.access.Raw, TokenType: "Bearer", ExpiresIn: lifetime(t.access)}
	if t.refresh != nil {
		answer.RefreshToken = t.refresh.Raw
	}
	writeJSON(w, answer)
}

func (g *Gateway) answerCookies(w http.ResponseWriter, r *http.Request, t tokens) {
	answer := cookieAnswer{CSRFToken: t.access.Claims.CSRF, ExpiresIn: lifetime(t.access)}
	if err := g.cookies.SetAccess(w, r, t.access); err != nil {
		g.cannotIssue(w, r, err)
		return
	}
	if g.dropsCookies(r) {
		answer.Warning = cookiesWarning
		g.lostLogins.add(g.log, r)
	}
	if t.refresh != nil {
		answer.RefreshCSRFToken = t.refresh.Claims.CSRF
		if err := g.cookies.SetRefresh(w, r, t.refresh); err != nil {
			g.cannotIssue(w, r, err)
			return
		}
	}
	writeJSON(w, answer)
}

// cannotIssue answers for a user whose name makes no token, such as one with control characters, and for a session that ended in
// this moment.
func (g *Gateway) cannotIssue(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errOver) {
		g.sessionEnded(w, r, err)
		return
	}
	g.log.Error("cannot issue a token", "err", err)
	problemHandler(http.StatusInternalServerError, "internal_error", "No token can be issued for this user")(w, r)
}

// sessionEnded answers a credential that was good until its session ended, and takes it away if it is a cookie.
func (g *Gateway) sessionEnded(w http.ResponseWriter, r *http.Request, err error) {
	g.refuse(w, r, errSessionEnded(err))
}

// errSessionEnded refuses a credential whose session has ended.
func errSessionEnded(err error) *wsauth.Error {
	return &wsauth.Error{Reason: wsauth.SessionEnded, Message: "The session has ended; log in again", Err: err}
}

// errUnavailable refuses a credential of which the store does not say whether
// it is good.
func errUnavailable(err error) *wsauth.Error {
	return &wsauth.Error{Reason: wsauth.StoreUnavailable, Message: wsauth.StoreUnavailable.Outcome().Text, Err: err}
}

// unavailable answers what cannot be done because the store does not do its part. Nothing was done then that needs to be undone.
// What no store can keep will not be kept later either: that is 422.
func (g *Gateway) unavailable(w http.ResponseWriter, r *http.Request, what string, err error) {
	if errors.Is(err, store.ErrInvalid) {
		g.log.Warn(what, "reason", "invalid_request", "err", err)
		problemHandler(http.StatusUnprocessableEntity, "invalid_request", "This cannot be stored: it is longer than a store can keep")(w, r)
		return
	}
	g.log.Error(what, "reason", "store_unavailable", "err", err)
	w.Header().Set("Retry-After", "1")
	problemHandler(http.StatusServiceUnavailable, "store_unavailable", "This cannot be done now; try again")(w, r)
}

// cannotEnd answers what was to end sessions or tokens. Where the store does
// not take that, they have ended on this node all the same, and the answer
// says so: they stay ended, but not yet through a restart of this node, and
// not yet on others. ended says for the log what it was.
func (g *Gateway) cannotEnd(w http.ResponseWriter, r *http.Request, what string, err error, ended ...any) {
	if !errors.Is(err, store.ErrNotDurable) {
		g.unavailable(w, r, what, err)
		return
	}
	g.log.Error("ended on this node only, and not written yet", append(ended, "reason", "store_unavailable", "err", err)...)
	w.Header().Set("Retry-After", "1")
	notDurable(w, r)
}

// notDurable answers that something has ended, and may be forgotten.
var notDurable = documentHandler(problem.Document{
	Status: http.StatusServiceUnavailable,
	Detail: "It has ended on this server, but cannot be written down now; the server will try again",
	Reason: "store_unavailable",
	Ended:  new(true), Durable: new(false),
})

// clearEnded takes the cookies of a session away that has ended, if only on
// this node.
func (g *Gateway) clearEnded(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, store.ErrNotDurable) {
		g.clearCookies(w, r)
	}
}

// tooMany answers what may be done again after a wait, which is told in whole seconds and never too short.
func tooMany(w http.ResponseWriter, r *http.Request, wait time.Duration, detail string) {
	w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	problemHandler(http.StatusTooManyRequests, "rate_limited", detail)(w, r)
}
