package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// passwordTimeout is how long a password may wait to be checked.
const passwordTimeout = 10 * time.Second

// checkPassword counts an attempt and asks for the password of its name.
// Unless that is right it answers with what is wrong, and reports false.
func (g *Gateway) checkPassword(w http.ResponseWriter, r *http.Request, c caller, password string, log *slog.Logger) bool {
	attempt, wait := g.attempts.begin(c, time.Now())
	if wait > 0 {
		log.Warn("login refused", "reason", "rate_limited", "wait", wait)
		tooMany(w, r, wait, "Too many failed attempts; wait and try again")
		return false
	}
	defer func() { attempt.failed(time.Now()) }() // unless it has another end
	ctx, cancel := context.WithTimeout(r.Context(), passwordTimeout)
	defer cancel()
	ok, err := g.authenticate(withHashClient(ctx, c.hashClient()), c.name, password)
	if busy, isBusy := errors.AsType[errBusy](err); isBusy {
		attempt.undo()
		log.Warn("login refused", "reason", "rate_limited", "wait", busy.wait)
		tooMany(w, r, busy.wait, "Too many passwords are being checked; wait and try again")
		return false
	}
	if err != nil {
		attempt.undo() // nobody has learned anything
		log.Error("login failed", "reason", "authenticator", "err", err)
		problemHandler(http.StatusServiceUnavailable, "store_unavailable", "The password cannot be checked now")(w, r)
		return false
	}
	if !ok {
		log.Warn("login failed", "reason", "bad_credentials")
		w.Header().Set("WWW-Authenticate", "Bearer")
		problemHandler(http.StatusUnauthorized, "bad_credentials", "Bad username or password")(w, r)
		return false
	}
	g.attempts.succeeded(attempt, c, time.Now())
	return true
}
