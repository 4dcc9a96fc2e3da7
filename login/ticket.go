package login

import (
	"errors"
	"net/http"
	"time"

	"wsauth"
	"wsauth/internal/logtext"
	"wsauth/internal/problem"
	"wsauth/internal/ratelimit"
	"wsauth/internal/urlpath"
	"wsauth/store"
	"wsauth/token"
)

// newTicketLimiter returns the limiter of the tickets of a session. A session
// gets as many at once as a page has sockets, which all reconnect after a
// restart, and then as many as a client needs that reconnects all the time.
// Each ticket costs the store a write, and takes space for half a minute.
func newTicketLimiter(c Config) *ratelimit.Limiter {
	return ratelimit.New(c.TicketBurst, time.Second/time.Duration(c.TicketRate), maxBuckets)
}

// ticketHolder returns the key of that limiter: the session of a token, or its
// user if it has no session.
func ticketHolder(claims *token.Claims) string {
	if claims.SessionID == "" {
		return "user " + claims.Subject
	}
	return "session " + claims.SessionID
}

// A ticketRequest is the body of POST /ticket.
type ticketRequest struct {
	Path string `json:"path"`
}

// A ticketAnswer contains a ticket. Sub is the user of its socket, so that a
// page notices when another user has logged in.
type ticketAnswer struct {
	Ticket    string       `json:"ticket"`
	ExpiresIn int64        `json:"expires_in"` // seconds
	Sub       string       `json:"sub"`
	Socket    ticketSocket `json:"socket"`
}

// A ticketSocket describes the socket of a ticket to the browser module.
type ticketSocket struct {
	ExpiresIn int64 `json:"expires_in"` // lifetime of the token in seconds
	Welcome   bool  `json:"welcome"`    // whether the first message is a welcome
}

// ticket answers POST /ticket: it issues a ticket for the user of the access
// token, for the path in the body and for pages of the Origin of the request.
// Without an Origin, it is for clients that send none and, unless the
// credential was a cookie, for clients with an Origin that the guard that
// redeems it allows.
func (s *Service) ticket(w http.ResponseWriter, r *http.Request) {
	claims, err := s.guard.Check(r, wsauth.Access)
	if err != nil {
		s.guard.Refuse(w, r, err)
		return
	}
	var body ticketRequest
	if !s.readJSON(w, r, &body) {
		return
	}
	path, fault := s.ticketPath(r, body.Path)
	if fault != "" {
		s.problem(w, r, http.StatusUnprocessableEntity, "invalid_request", fault)
		return
	}
	if len(r.Header["Origin"]) > 1 {
		s.problem(w, r, http.StatusBadRequest, "invalid_request", "A request has one Origin")
		return
	}
	if wait := s.tickets.Take(ticketHolder(claims), time.Now()); wait > 0 {
		s.log.Warn("ticket refused", "reason", "rate_limited", "user", logtext.Short(claims.Subject), "session", logtext.Short(claims.SessionID), "wait", wait)
		s.answerProblem(w, r, problem.TooMany(wait, "Too many tickets; wait and try again"))
		return
	}
	ctx, cancel := problem.Storing(r)
	defer cancel()
	ticket, err := s.guard.IssueTicket(ctx, claims, wsauth.TicketFor{Path: path, Origin: r.Header.Get("Origin"), AllowedOrigins: !s.cookies.areCredential(r)})
	if refused, ok := errors.AsType[*wsauth.Error](err); ok && refused.Reason == wsauth.InvalidRequest && !errors.Is(err, store.ErrInvalid) {
		s.problem(w, r, http.StatusUnprocessableEntity, "invalid_request", refused.Message)
		return
	}
	if err != nil {
		s.storeFailed(w, r, "cannot issue a ticket", err)
		return
	}
	socket := ticketSocket{
		ExpiresIn: max(1, int64(time.Until(claims.ExpiresAt)/time.Second)),
		Welcome:   s.config.Welcome != nil && s.config.Welcome(path),
	}
	problem.WriteJSON(w, ticketAnswer{ticket, int64(wsauth.TicketLife / time.Second), claims.Subject, socket})
}

// ticketPath returns the canonical form of a path, or an error text.
func (s *Service) ticketPath(r *http.Request, path string) (canonical, fault string) {
	canonical, err := urlpath.Canonical(path)
	if err != nil {
		return "", "path is required: it begins with / and has at most 2048 bytes"
	}
	if s.config.TicketPath != nil {
		if err := s.config.TicketPath(r, canonical); err != nil {
			return "", err.Error()
		}
	}
	return canonical, ""
}
