package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"wsauth"
	"wsauth/internal/ratelimit"
	"wsauth/internal/urlpath"
	"wsauth/store"
	"wsauth/token"
)

// newTicketLimiter limits the tickets of a session: as many at once as a page
// has sockets, all of which come back after a restart, and then as many as
// anybody needs who reconnects all the time. Each costs the store a write, and
// a place in it for half a minute.
func newTicketLimiter(c Config) *ratelimit.Limiter {
	return ratelimit.New(c.TicketBurst, time.Second/time.Duration(c.TicketRate), maxBuckets)
}

// ticketHolder is the key of that limit: the session of a token, or its user where it is of none.
func ticketHolder(claims *token.Claims) string {
	if claims.SessionID == "" {
		return "user " + claims.Subject
	}
	return "session " + claims.SessionID
}

// A ticketRequest is the body of POST /auth/ticket.
type ticketRequest struct {
	Path *string `json:"path"`
}

// A ticketAnswer carries a ticket. Sub is the user of its socket, by which a
// page notices that somebody else has logged in.
type ticketAnswer struct {
	Ticket    string       `json:"ticket"`
	ExpiresIn int64        `json:"expires_in"` // seconds
	Sub       string       `json:"sub"`
	Socket    ticketSocket `json:"socket"`
}

// A ticketSocket tells the browser module what its socket will be like.
type ticketSocket struct {
	ExpiresIn int64 `json:"expires_in"` // seconds that the token lives
	Welcome   bool  `json:"welcome"`    // whether the first message is a welcome, as only the demonstration sends
}

// ticketPath returns the canonical form of a path, or what is wrong with it. A
// path whose sockets the gateway refuses, because servers read it in different
// ways, gets no ticket that could open none. host is that of the request.
func (g *Gateway) ticketPath(host, path string) (canonical, fault string) {
	canonical, err := urlpath.Canonical(path)
	if err != nil {
		return "", "path is required: it begins with / and has at most 2048 bytes"
	}
	decoded, err := url.PathUnescape(canonical)
	var ways []string
	if err == nil && !isPlain(canonical, decoded) {
		ways = readings(canonical, decoded)
	}
	switch now := g.routing.Load(); {
	case err != nil, ways == nil && !isPlain(canonical, decoded):
		return "", "path can be read in two ways: write it without dots, controls and escapes of escapes"
	case now == nil || now.mayOpen(g, host, decoded, ways):
		return canonical, ""
	case ways == nil:
		return "", "path is that of another route for some servers: write it with the capitals and the final slash of its route"
	}
	return "", looseDetail
}

// ticket answers POST /auth/ticket: it makes a ticket for the user of the
// access token of the request. The ticket is for the path that the body names
// and for pages of the Origin of the request. If none was sent, it is for
// programs that send none, and unless a cookie was the credential also for
// those that send one of the origins of the route.
func (g *Gateway) ticket(w http.ResponseWriter, r *http.Request) {
	claims, err := g.guard.Check(r, wsauth.Access)
	if err != nil {
		g.guard.Refuse(w, r, err)
		return
	}
	var body ticketRequest
	if !readJSON(w, r, &body) {
		return
	}
	var asked string
	if body.Path != nil {
		asked = *body.Path
	}
	path, fault := g.ticketPath(hostOf(r), asked)
	if fault != "" {
		problemHandler(http.StatusUnprocessableEntity, "invalid_request", fault)(w, r)
		return
	}
	if len(r.Header["Origin"]) > 1 {
		problemHandler(http.StatusBadRequest, "invalid_request", "A request has one Origin")(w, r)
		return
	}
	if wait := g.tickets.Take(ticketHolder(claims), time.Now()); wait > 0 {
		g.log.Warn("ticket refused", "reason", "rate_limited", "user", printable(claims.Subject), "session", printable(claims.SessionID), "wait", wait)
		tooMany(w, r, wait, "Too many tickets; wait and try again")
		return
	}
	ctx, cancel := storing(r)
	defer cancel()
	ticket, err := g.guard.IssueTicket(ctx, claims, wsauth.TicketFor{Path: path, Origin: r.Header.Get("Origin"), AllowedOrigins: !byCookie(r)})
	if refused, ok := errors.AsType[*wsauth.Error](err); ok && refused.Reason == wsauth.InvalidRequest && !errors.Is(err, store.ErrInvalid) {
		problemHandler(http.StatusUnprocessableEntity, "invalid_request", refused.Message)(w, r)
		return
	}
	if err != nil {
		g.unavailable(w, r, "cannot issue a ticket", err)
		return
	}
	socket := ticketSocket{
		ExpiresIn: max(1, int64(time.Until(claims.ExpiresAt)/time.Second)),
		Welcome:   g.demo != nil && path == socketPath,
	}
	writeJSON(w, ticketAnswer{ticket, int64(wsauth.TicketLife / time.Second), claims.Subject, socket})
}
