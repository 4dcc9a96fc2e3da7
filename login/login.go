package login

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"wsauth/internal/logtext"
	"wsauth/internal/problem"
	"wsauth/store"
)

const (
	maxName     = 256  // bytes of a user name, as of the subject of a token
	maxPassword = 1024 // bytes
	maxSessions = 100  // of one user; one more ends the least recently used
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
func (s *Service) login(w http.ResponseWriter, r *http.Request) {
	var body loginRequest
	if !s.readJSON(w, r, &body) {
		return
	}
	if fault := body.fault(); fault != "" {
		s.problem(w, r, http.StatusUnprocessableEntity, "invalid_request", fault)
		return
	}
	if body.Cookies && !s.cookies.enabled {
		s.problem(w, r, http.StatusUnprocessableEntity, "invalid_request", "cookies: this server accepts none; log in without them")
		return
	}
	if body.Cookies && s.origins.losesCookies(r) {
		s.problem(w, r, http.StatusForbidden, "origin_not_allowed", "Pages of this origin cannot have cookies here: log in without them, or set auth.cors.credentials")
		return
	}
	// The session starts before the password is checked. If the password is
	// changed in the meantime and the sessions of its user are ended, this one is
	// among them.
	session := s.newSession(r, *body.Username)
	log := s.loginLog(r, session.Subject)
	if !s.checkPassword(w, r, newCaller(r.RemoteAddr, session.Subject, s.devices.of(r, session.Subject, session.Started)), *body.Password, log) {
		return
	}
	tokens, err := s.start(r, session, body.Cookies, log)
	if err != nil {
		s.fail(w, r, log, "login failed", err)
		return
	}
	s.devices.set(w, r, session.Subject, time.Now())
	s.answer(w, r, tokens)
}

// loginLog returns the log of a login.
func (s *Service) loginLog(r *http.Request, subject string) *slog.Logger {
	return s.log.With("user", logtext.Short(subject), "remote", r.RemoteAddr)
}

// newSession returns a session that starts now, which is not stored.
func (s *Service) newSession(r *http.Request, subject string) store.Session {
	now := time.Now()
	return store.Session{
		ID: store.NewSessionID(), Subject: subject, Current: rand.Text(),
		Started: now, Rotated: now, Expires: now.Add(s.config.RefreshTTL), Ends: now.Add(s.config.SessionTTL),
		Remote: logtext.Host(r.RemoteAddr), Agent: logtext.Visible(r.UserAgent()),
	}
}

// start stores a new session and returns its first tokens.
func (s *Service) start(r *http.Request, session store.Session, cookies bool, log *slog.Logger) (Tokens, error) {
	tokens, err := s.issue(session, cookies, true)
	if err != nil {
		return Tokens{}, err
	}
	ctx, cancel := problem.Storing(r)
	defer cancel()
	if err := s.checkAlive(ctx, tokens.Access); err != nil {
		return Tokens{}, err
	}
	if err := s.makeRoom(ctx, session.Subject); err != nil {
		return Tokens{}, err
	}
	if err := s.store.BeginSession(ctx, session); err != nil {
		return Tokens{}, err
	}
	// A revocation before the session was stored has not ended it.
	if err := s.checkAlive(ctx, tokens.Access); err != nil {
		s.unlist(ctx, session.ID)
		return Tokens{}, err
	}
	log.Info("logged in", "session", session.ID, "cookies", cookies)
	return tokens, nil
}

// makeRoom ends sessions of a user so that one more does not exceed the
// maximum.
func (s *Service) makeRoom(ctx context.Context, subject string) error {
	sessions, err := s.store.ListSessions(ctx, subject)
	if err != nil || len(sessions) < maxSessions {
		return err
	}
	slices.SortFunc(sessions, func(a, b store.Session) int {
		return cmp.Or(a.Rotated.Compare(b.Rotated), a.Started.Compare(b.Started))
	})
	for _, session := range sessions[:len(sessions)-maxSessions+1] {
		if _, err := s.endSession(ctx, session); err != nil && !errors.Is(err, store.ErrNotDurable) {
			return err
		}
		s.log.Info("session ended", "reason", "too_many", "user", logtext.Short(subject), "session", session.ID)
	}
	return nil
}

// Start starts a session for a user whom the application has authenticated
// itself, for example with a passkey or its own form, and returns the first
// tokens. If cookies is set, they are for cookies, otherwise for a client that
// stores them itself. r is the request for the login: Start refuses it if a
// page of another origin sent it, and counts it against [Config.LoginsPerHour].
// [Service.Answer] answers it with the tokens or the error.
func (s *Service) Start(r *http.Request, subject string, cookies bool) (Tokens, error) {
	r = s.proxies.Identify(r)
	if err := s.origins.check(r); err != nil {
		return Tokens{}, err
	}
	if subject == "" || len(subject) > maxName {
		return Tokens{}, fmt.Errorf("login: Start: a subject of %d bytes: %w", len(subject), store.ErrInvalid)
	}
	if cookies && !s.cookies.enabled {
		return Tokens{}, errors.New("login: Start: Config.Guard has no wsauth.Cookies among its Extractors")
	}
	if wait := s.attempts.login(newCaller(r.RemoteAddr, subject, ""), time.Now()); wait > 0 {
		return Tokens{}, &rateError{wait, "Too many logins; wait and try again"}
	}
	return s.start(r, s.newSession(r, subject), cookies, s.loginLog(r, subject))
}

// Answer answers r with the results of [Service.Start]: with tokens like POST
// /login, or with err.
func (s *Service) Answer(w http.ResponseWriter, r *http.Request, t Tokens, err error) {
	r = s.proxies.Identify(r)
	if err != nil {
		s.fail(w, r, s.log.With("remote", r.RemoteAddr), "login failed", err)
		return
	}
	s.answer(w, r, t)
}

// SetCookies sets the cookies of tokens that are for cookies, for the
// application's own response, such as a redirect.
func (s *Service) SetCookies(w http.ResponseWriter, r *http.Request, t Tokens) error {
	if !t.cookies {
		return errors.New("login: SetCookies: the tokens are not for cookies")
	}
	return s.cookies.set(w, s.proxies.Identify(r), t)
}
