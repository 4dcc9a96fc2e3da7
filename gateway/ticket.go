package gateway

import (
	"net/http"
	"strings"
	"time"

	"wsauth"
	"wsauth/internal/ratelimit"
	"wsauth/token"
)

const maxTicketPath = 256 // bytes

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

// ticket answers POST /auth/ticket: whoever has an access token gets what
// opens one socket with it, once and soon. It is for URLs, since a browser can
// send neither a header with a handshake nor a token in the URL that nobody
// writes down. It is good for the path that the body names and for pages of
// the origin that asks. If none was sent, it is for programs that send none,
// and unless a cookie showed who asks also for those that send one of the
// origins of the route.
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
	if body.Path == nil || !strings.HasPrefix(*body.Path, "/") || len(*body.Path) > maxTicketPath {
		problem(http.StatusUnprocessableEntity, "invalid_request", "path is required: it begins with / and is at most 256 bytes long")(w, r)
		return
	}
	if len(r.Header["Origin"]) > 1 {
		problem(http.StatusBadRequest, "invalid_request", "A request has one Origin")(w, r)
		return
	}
	if wait := g.tickets.Take(ticketHolder(claims), time.Now()); wait > 0 {
		g.log.Warn("ticket refused", "reason", "rate_limited", "user", printable(claims.Subject), "session", claims.SessionID, "wait", wait)
		tooMany(w, r, wait, "Too many tickets; wait and try again")
		return
	}
	ctx, cancel := storing(r)
	defer cancel()
	ticket, err := g.guard.IssueTicket(ctx, claims, wsauth.TicketFor{Path: *body.Path, Origin: r.Header.Get("Origin"), AllowedOrigins: !byCookie(r)})
	if err != nil {
		g.unavailable(w, r, "cannot issue a ticket", err)
		return
	}
	socket := ticketSocket{
		ExpiresIn: max(1, int64(time.Until(claims.ExpiresAt)/time.Second)),
		Welcome:   g.demo != nil && *body.Path == socketPath,
	}
	writeJSON(w, ticketAnswer{ticket, int64(wsauth.TicketLife / time.Second), claims.Subject, socket})
}
