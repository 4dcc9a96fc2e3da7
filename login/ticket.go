package login

import (
	"errors"
	"log/slog"
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

// tickets issues tickets.
type tickets struct {
	guard   *wsauth.Guard
	limiter *ratelimit.Limiter // by ticketHolder
	cookies *cookies
	respond *responder
	log     *slog.Logger

	// See Config.TicketPath and Config.Welcome. They may be nil.
	checkPath func(r *http.Request, path string) error
	welcome   func(path string) bool
}

// newTickets returns tickets with the limits of c. The burst is for a page with
// many sockets, all of which reconnect after a restart. The rate is enough for
// a client that reconnects all the time. Each ticket costs the store a write,
// and takes space for half a minute.
func newTickets(c Config, cookies *cookies, respond *responder) *tickets {
	return &tickets{
		guard: c.Guard, checkPath: c.TicketPath, welcome: c.Welcome, cookies: cookies, respond: respond, log: c.Logger,
		limiter: ratelimit.New(c.TicketBurst, time.Second/time.Duration(c.TicketRate), maxBuckets),
	}
}

// ticketHolder returns the key under which tickets are limited: the session of
// a token, or its user if it has no session.
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

// A ticketAnswer contains a ticket. Sub is the user of its socket. It lets a
// page notice that another user has logged in.
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

// issue answers POST /ticket: it issues a ticket for the user of the access
// token, for the path in the body and for pages of the Origin of the request.
// If the request has no Origin, clients without an Origin can use the ticket.
// Unless the credential was a cookie, so can clients with any Origin that the
// guard allows when it redeems the ticket.
func (t *tickets) issue(w http.ResponseWriter, r *http.Request) {
	claims, err := t.guard.Check(r, wsauth.Access)
	if err != nil {
		t.guard.Refuse(w, r, err)
		return
	}
	var body ticketRequest
	if !t.respond.readJSON(w, r, &body) {
		return
	}
	path, fault := t.path(r, body.Path)
	if fault != "" {
		t.respond.problem(w, r, http.StatusUnprocessableEntity, "invalid_request", fault)
		return
	}
	if len(r.Header["Origin"]) > 1 {
		t.respond.problem(w, r, http.StatusBadRequest, "invalid_request", "A request has one Origin")
		return
	}
	if wait := t.limiter.Take(ticketHolder(claims), time.Now()); wait > 0 {
		t.log.Warn("ticket refused", "reason", "rate_limited", "user", logtext.Short(claims.Subject), "session", logtext.Short(claims.SessionID), "wait", wait)
		t.respond.document(w, r, problem.TooMany(wait, "Too many tickets; wait and try again"))
		return
	}
	ctx, cancel := problem.Storing(r)
	defer cancel()
	ticket, err := t.guard.IssueTicket(ctx, claims, wsauth.TicketFor{Path: path, Origin: r.Header.Get("Origin"), AllowedOrigins: !t.cookies.areCredential(r)})
	if refused, ok := errors.AsType[*wsauth.Error](err); ok && refused.Reason == wsauth.InvalidRequest && !errors.Is(err, store.ErrInvalid) {
		t.respond.problem(w, r, http.StatusUnprocessableEntity, "invalid_request", refused.Message)
		return
	}
	if err != nil {
		t.respond.storeFailed(w, r, "cannot issue a ticket", err)
		return
	}
	socket := ticketSocket{
		ExpiresIn: max(1, int64(time.Until(claims.ExpiresAt)/time.Second)),
		Welcome:   t.welcome != nil && t.welcome(path),
	}
	problem.WriteJSON(w, ticketAnswer{ticket, int64(wsauth.TicketLife / time.Second), claims.Subject, socket})
}

// path returns the canonical form of a path, or an error text.
func (t *tickets) path(r *http.Request, path string) (canonical, fault string) {
	canonical, err := urlpath.Canonical(path)
	if err != nil {
		return "", "path is required: it begins with / and has at most 2048 bytes"
	}
	if t.checkPath != nil {
		if err := t.checkPath(r, canonical); err != nil {
			return "", err.Error()
		}
	}
	return canonical, ""
}
