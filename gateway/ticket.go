package gateway

import (
	"net/http"
	"strings"
	"time"

	"wsauth"
)

const maxTicketPath = 256 // bytes

// A ticketRequest is the body of POST /auth/ticket.
type ticketRequest struct {
	Path *string `json:"path"`
}

// A ticketAnswer carries a ticket.
type ticketAnswer struct {
	Ticket    string `json:"ticket"`
	ExpiresIn int64  `json:"expires_in"` // seconds
}

// ticket answers POST /auth/ticket: whoever has an access token gets what opens one socket with it, once and soon. It is for URLs,
// since a browser can send neither a header with a handshake nor a token in the URL that nobody writes down. It is good for the
// path that the body names and for pages of the origin that asks, or for programs that send no Origin if none was sent now.
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
	ctx, cancel := storing(r)
	defer cancel()
	ticket, err := g.guard.IssueTicket(ctx, claims, wsauth.TicketFor{Path: *body.Path, Origin: r.Header.Get("Origin")})
	if err != nil {
		g.unavailable(w, r, "cannot issue a ticket", err)
		return
	}
	writeJSON(w, ticketAnswer{ticket, int64(wsauth.TicketLife / time.Second)})
}
