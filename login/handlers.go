package login

import (
	"log/slog"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"wsauth"
	"wsauth/internal/logtext"
	"wsauth/internal/problem"
)

// handlers answer the endpoints of a service.
type handlers struct {
	guard         *wsauth.Guard
	ending        *wsauth.Guard // for requests that end sessions; see [Config.EndVerifier]
	sessions      *sessions
	revoker       *revoker
	refreshTokens *refreshTokens
	passwords     *passwords // nil without [Config.Users]
	devices       *devices
	tickets       *tickets // nil if the guard has none
	cookies       *cookies
	origins       *origins
	respond       *responder
	log           *slog.Logger
}

// endpoints returns the endpoints below a prefix. doc.go has the same table.
func (h *handlers) endpoints(prefix string) []problem.Endpoint {
	at := func(method, path string, handler http.HandlerFunc) problem.Endpoint {
		return problem.Endpoint{Method: method, Path: prefix + path, Handler: handler}
	}
	all := []problem.Endpoint{
		at(http.MethodPost, "/refresh", h.refresh),
		at(http.MethodPost, "/logout", h.logout),
		at(http.MethodPost, "/logout-everywhere", h.logoutEverywhere),
		at(http.MethodGet, "/sessions", h.listSessions),
		at(http.MethodDelete, "/sessions/{sid}", h.endSession),
		at(http.MethodGet, "/session", h.session),
	}
	if h.passwords != nil {
		all = append(all, at(http.MethodPost, "/login", h.login), at(http.MethodPost, "/fresh", h.fresh))
	}
	if h.tickets != nil {
		all = append(all, at(http.MethodPost, "/ticket", h.tickets.issue))
	}
	return all
}

// session answers GET /session with the claims of the access token, in the form
// that rules and upstreams get.
func (h *handlers) session(w http.ResponseWriter, r *http.Request) {
	claims, err := h.guard.Check(r, wsauth.Access)
	if err != nil {
		h.guard.Refuse(w, r, err)
		return
	}
	problem.WriteJSON(w, jsontext.Value(claims.Payload()))
}

func clientOf(r *http.Request) client {
	return client{addr: r.RemoteAddr, host: logtext.Host(r.RemoteAddr), agent: logtext.Visible(r.UserAgent())}
}
