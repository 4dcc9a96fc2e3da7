package login

import (
	"errors"
	"net/http"

	"wsauth"
	"wsauth/internal/logtext"
	"wsauth/internal/problem"
	"wsauth/store"
)

// A freshRequest is the body of POST /fresh.
type freshRequest struct {
	Password *string `json:"password"`
}

// fresh answers POST /fresh: a user who is logged in repeats the password, and
// gets a fresh access token of the same session, in the same form as the
// request's token. The open sockets of the session are renewed with it.
func (s *Service) fresh(w http.ResponseWriter, r *http.Request) {
	claims, err := s.guard.Check(r, wsauth.Access)
	if err != nil {
		s.guard.Refuse(w, r, err)
		return
	}
	var body freshRequest
	if !s.readJSON(w, r, &body) {
		return
	}
	if fault := passwordFault(body.Password); fault != "" {
		s.problem(w, r, http.StatusUnprocessableEntity, "invalid_request", fault)
		return
	}
	log := s.log.With("user", logtext.Short(claims.Subject), "session", logtext.Short(claims.SessionID), "remote", r.RemoteAddr)
	c := newCaller(r.RemoteAddr, claims.Subject, "session "+claims.SessionID)
	c.session = true
	if !s.checkPassword(w, r, c, *body.Password, log) {
		return
	}
	ctx, cancel := problem.Storing(r)
	defer cancel()
	session, err := s.sessionOf(ctx, claims)
	switch {
	case errors.Is(err, store.ErrNotFound):
		s.refuse(w, r, errSessionEnded(err))
		return
	case err != nil:
		s.storeFailed(w, r, "step-up failed", err)
		return
	}
	tokens, err := s.issueAccess(session, claims.CSRF != "", true)
	if err == nil {
		err = s.checkAlive(ctx, tokens.Access)
	}
	switch {
	case errors.Is(err, errEndedMeanwhile):
		s.refuse(w, r, errSessionEnded(err))
		return
	case err != nil:
		s.fail(w, r, log, "step-up failed", err)
		return
	}
	log.Info("stepped up", "sockets", s.renew(ctx, tokens.Access))
	s.answer(w, r, tokens)
}
