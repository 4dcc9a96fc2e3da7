package login

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"wsauth"
	"wsauth/internal/problem"
	"wsauth/token"
)

// A tokenAnswer contains tokens for a client that keeps them itself (RFC 6749
// section 5.1).
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitzero"` // absent if it is unchanged
	TokenType    string `json:"token_type"`             // always Bearer
	ExpiresIn    int64  `json:"expires_in"`             // lifetime of the access token in seconds
}

// A cookieAnswer contains the CSRF values that a page must send together with
// the cookies. The page cannot read the cookies.
type cookieAnswer struct {
	CSRFToken        string `json:"csrf_token"`
	RefreshCSRFToken string `json:"refresh_csrf_token,omitzero"` // absent if it is unchanged
	ExpiresIn        int64  `json:"expires_in"`                  // lifetime of the access token in seconds
	Warning          string `json:"warning,omitzero"`            // why the browser drops the cookies
}

// A responder answers requests.
type responder struct {
	guard   *wsauth.Guard
	cookies *cookies
	refused func(r *http.Request, reason string) // Config.Refused
	log     *slog.Logger
	lost    lostCookies
}

// tokens answers r with tokens: in the body, or in cookies with their CSRF
// values in the body.
func (a *responder) tokens(w http.ResponseWriter, r *http.Request, t Tokens) {
	if !t.cookies {
		answer := tokenAnswer{AccessToken: t.Access.Raw, TokenType: "Bearer", ExpiresIn: lifetime(t.Access)}
		if t.Refresh != nil {
			answer.RefreshToken = t.Refresh.Raw
		}
		problem.WriteJSON(w, answer)
		return
	}
	answer := cookieAnswer{CSRFToken: t.Access.Claims.CSRF, ExpiresIn: lifetime(t.Access)}
	if t.Refresh != nil {
		answer.RefreshCSRFToken = t.Refresh.Claims.CSRF
	}
	if err := a.cookies.set(w, r, t); err != nil {
		a.cannotIssue(w, r, err)
		return
	}
	if a.cookies.areDropped(r) {
		answer.Warning = cookiesWarning
		a.lost.add(a.log, r)
	}
	problem.WriteJSON(w, answer)
}

// lifetime returns the lifetime of a token in seconds, from its issue to its
// expiry.
func lifetime(t *token.Token) int64 {
	return int64(t.Claims.ExpiresAt.Sub(t.Claims.IssuedAt) / time.Second)
}

// problem answers r with a problem document. detail is a fixed text for people
// to read. It must contain nothing from the request.
func (a *responder) problem(w http.ResponseWriter, r *http.Request, status int, reason, detail string) {
	a.document(w, r, problem.Document{Status: status, Detail: detail, Reason: reason})
}

// document answers r with d, and reports the refusal to Config.Refused.
func (a *responder) document(w http.ResponseWriter, r *http.Request, d problem.Document) {
	if a.refused != nil {
		a.refused(r, d.Reason)
	}
	problem.New(d).Write(w)
}

// refuse answers r, which was refused with err. It deletes cookies that will
// never be valid again, because the page cannot delete them.
func (a *responder) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if isPermanent(err) {
		a.cookies.clear(w, r)
	}
	a.guard.Refuse(w, r, err)
}

// isPermanent reports whether err refuses a token that was valid once, and will
// never be valid again.
func isPermanent(err error) bool {
	return errors.Is(err, wsauth.TokenRevoked) || errors.Is(err, wsauth.TokenExpired) || errors.Is(err, wsauth.SessionEnded)
}

// fail answers a request for tokens that failed with err. what is the log
// message for most failures.
func (a *responder) fail(w http.ResponseWriter, r *http.Request, log *slog.Logger, what string, err error) {
	if refused, ok := errors.AsType[*refusal](err); ok {
		a.refuse(w, r, refused.err)
		return
	}
	if unchecked, ok := errors.AsType[*passwordError](err); ok {
		log.Error("login failed", "reason", "authenticator", "error", unchecked.err)
		a.problem(w, r, http.StatusServiceUnavailable, "store_unavailable", "The password cannot be checked now")
		return
	}
	if limited, ok := errors.AsType[*rateError](err); ok {
		log.Warn("login refused", "reason", "rate_limited", "wait", limited.wait)
		a.document(w, r, problem.TooMany(limited.wait, limited.detail))
		return
	}
	switch {
	case errors.Is(err, errBadPassword):
		log.Warn("login failed", "reason", "bad_credentials")
		w.Header().Set("WWW-Authenticate", "Bearer")
		a.problem(w, r, http.StatusUnauthorized, "bad_credentials", "Bad username or password")
	case errors.Is(err, wsauth.OriginNotAllowed):
		a.refuse(w, r, err)
	case errors.Is(err, errSessionOver):
		a.refuse(w, r, errSessionEnded(err))
	case errors.Is(err, errNoToken):
		a.cannotIssue(w, r, err)
	case errors.Is(err, errClockBehind):
		log.Error(what, "reason", "clock_behind", "error", err)
		a.document(w, r, clockBehind)
	case errors.Is(err, errTokenAhead):
		log.Error(what, "reason", "clock_behind", "error", err)
		a.document(w, r, issuedAhead)
	case errors.Is(err, errEndedMeanwhile):
		log.Warn(what, "reason", "session_ended", "error", err)
		a.document(w, r, endedMeanwhile)
	default:
		a.storeFailed(w, r, what, err)
	}
}

// Answers to requests for tokens that would be revoked as soon as they were
// issued.
var (
	clockBehind = problem.Document{
		Status: http.StatusServiceUnavailable,
		Detail: "All logins were ended until a moment that the clock of this server has not reached; it may have been set back. Nobody who was concerned gets tokens before",
		Reason: "clock_behind", RetryAfter: 5 * time.Second,
	}
	issuedAhead = problem.Document{
		Status: http.StatusServiceUnavailable,
		Detail: "The token was issued at a moment that the clock of this server has not reached; it may have been set back",
		Reason: "clock_behind", RetryAfter: 5 * time.Second,
	}
	endedMeanwhile = problem.Document{
		Status: http.StatusServiceUnavailable,
		Detail: "All your sessions were ended while you logged in; log in again",
		Reason: "session_ended", RetryAfter: time.Second,
	}
)

// cannotIssue answers a request from a user for whom no token can be issued,
// for example because the name contains control characters.
func (a *responder) cannotIssue(w http.ResponseWriter, r *http.Request, err error) {
	a.log.Error("cannot issue a token", "error", err)
	a.problem(w, r, http.StatusInternalServerError, "internal_error", "No token can be issued for this user")
}

// storeFailed answers a request that failed because of the store; see
// [problem.StoreFailure].
func (a *responder) storeFailed(w http.ResponseWriter, r *http.Request, what string, err error, attrs ...any) {
	a.document(w, r, problem.StoreFailure(a.log, what, err, attrs...))
}

// members contains the error text for each member of a request body, for
// [problem.ReadJSON].
var members = map[jsontext.Pointer]string{
	"/username": "username must be a string",
	"/password": "password must be a string",
	"/cookies":  "cookies must be true or false",
	"/path":     "path must be a string",
}

// readJSON reads the body of r into v. If it cannot, it answers r and reports
// false.
func (a *responder) readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	if fault := problem.ReadJSON(w, r, v, members); fault != nil {
		a.document(w, r, *fault)
		return false
	}
	return true
}
