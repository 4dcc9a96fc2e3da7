package gateway

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"wsauth/token"
)

const (
	maxName     = 256  // bytes of a user name, as many as a token's subject may have
	maxPassword = 1024 // bytes
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
	case l.Password == nil:
		return "password is required"
	case len(*l.Username) > maxName:
		return "username is longer than 256 bytes"
	case len(*l.Password) > maxPassword:
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
		problem(http.StatusUnprocessableEntity, "invalid_request", fault)(w, r)
		return
	}
	name := *body.Username
	log := g.log.With("user", printable(name), "remote", r.RemoteAddr)

	attempt, wait := g.attempts.begin(r.RemoteAddr, name, time.Now())
	if wait > 0 {
		log.Warn("login refused", "reason", "rate_limited", "wait", wait)
		w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
		problem(http.StatusTooManyRequests, "rate_limited", "Too many failed attempts; wait and try again")(w, r)
		return
	}
	ok, err := g.authenticate(r.Context(), name, *body.Password)
	if err != nil {
		log.Error("login failed", "reason", "authenticator", "err", err)
		problem(http.StatusServiceUnavailable, "store_unavailable", "The password cannot be checked now")(w, r)
		return
	}
	if !ok {
		log.Warn("login failed", "reason", "bad_credentials")
		w.Header().Set("WWW-Authenticate", "Bearer")
		problem(http.StatusUnauthorized, "bad_credentials", "Bad username or password")(w, r)
		return
	}
	attempt.succeeded()
	g.beginSession(w, r, name, body.Cookies, log)
}

// beginSession answers with the first two tokens of a new session.
func (g *Gateway) beginSession(w http.ResponseWriter, r *http.Request, name string, cookies bool, log *slog.Logger) {
	o := token.Options{SessionID: rand.Text(), CSRF: cookies, Fresh: true}
	access, err := g.issuer.Access(name, o)
	if err != nil {
		g.cannotIssue(w, r, err)
		return
	}
	o.Fresh = false
	refresh, err := g.issuer.Refresh(name, o)
	if err != nil {
		g.cannotIssue(w, r, err)
		return
	}
	log.Info("logged in", "session", o.SessionID, "cookies", cookies)
	if cookies {
		g.answerCookies(w, r, access, refresh)
		return
	}
	// Cookies of an earlier login, or of another server of this host, since they know no ports, would come along with the new
	// token: every socket would carry two credentials.
	g.cookies.Clear(w, r)
	g.answerTokens(w, access, refresh)
}

// printable makes a client's text fit for one line of a log: what cannot be seen is replaced, and it is cut.
func printable(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
