package login

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"wsauth/internal/problem"
)

// passwordTimeout is how long a password may wait to be checked.
const passwordTimeout = 10 * time.Second

// passwordFault returns an error text for the password of a body, or "".
func passwordFault(password *string) string {
	switch {
	case password == nil:
		return "password is required"
	case len(*password) > maxPassword:
		return "password is longer than 1024 bytes"
	}
	return ""
}

// checkPassword counts an attempt, and checks the password of its name. If the
// password is wrong, it answers r and returns false.
func (s *Service) checkPassword(w http.ResponseWriter, r *http.Request, c caller, password string, log *slog.Logger) bool {
	attempt, wait := s.attempts.begin(c, time.Now())
	if wait > 0 {
		log.Warn("login refused", "reason", "rate_limited", "wait", wait)
		s.answerProblem(w, r, problem.TooMany(wait, "Too many failed attempts; wait and try again"))
		return false
	}
	defer func() { attempt.failed(time.Now()) }() // no effect if it has already ended
	ctx, cancel := context.WithTimeout(r.Context(), passwordTimeout)
	defer cancel()
	ok, err := s.config.Users.Authenticate(withHashClient(ctx, c.hashClient()), c.name, password)
	if busy, isBusy := errors.AsType[busyError](err); isBusy {
		attempt.undo()
		log.Warn("login refused", "reason", "rate_limited", "wait", busy.wait)
		s.answerProblem(w, r, problem.TooMany(busy.wait, "Too many passwords are being checked; wait and try again"))
		return false
	}
	if err != nil {
		attempt.undo() // the client has learned nothing
		log.Error("login failed", "reason", "authenticator", "error", err)
		s.problem(w, r, http.StatusServiceUnavailable, "store_unavailable", "The password cannot be checked now")
		return false
	}
	if !ok {
		log.Warn("login failed", "reason", "bad_credentials")
		w.Header().Set("WWW-Authenticate", "Bearer")
		s.problem(w, r, http.StatusUnauthorized, "bad_credentials", "Bad username or password")
		return false
	}
	s.attempts.succeeded(attempt, c, time.Now())
	return true
}
