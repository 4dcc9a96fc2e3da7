package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"wsauth"
	"wsauth/internal/gateway/telemetry"
	"wsauth/login"
)

// newLogin returns the login service. Without an Authenticator, nobody can log
// in; the service then keeps only the sessions of tokens that were issued
// elsewhere. ending verifies the tokens in requests that end sessions.
func (g *Gateway) newLogin(ending wsauth.Verifier) (*login.Service, error) {
	c := g.config.Login
	c.Guard, c.EndVerifier = g.guard, ending
	c.CrossOrigin, c.TicketPath = g.crossOrigin, func(r *http.Request, path string) error { return g.routes.CheckTicketPath(r, path) }
	c.Welcome = func(path string) bool { return g.demo != nil && path == socketPath }
	c.Refused = func(r *http.Request, reason string) { telemetry.From(r.Context()).SetReason(reason) }
	return login.New(c)
}

// loginEndpoints returns the endpoints of the login service. Without an
// Authenticator it omits refresh, since there is nothing to refresh.
func (g *Gateway) loginEndpoints(c Config) []endpoint {
	var all []endpoint
	for _, pattern := range g.login.Patterns() {
		method, path, _ := strings.Cut(pattern, " ")
		if c.Login.Users != nil || path != c.Login.Prefix+"/refresh" {
			all = append(all, endpoint{method, path, g.login})
		}
	}
	return all
}

// crossOrigin returns what AuthCORS permits the page that sent r.
func (g *Gateway) crossOrigin(r *http.Request) login.CrossOrigin {
	switch allowed, credentials := g.routes.OwnCORS(r); {
	case !allowed:
		return login.CrossOriginNothing
	case credentials:
		return login.CrossOriginCookies
	}
	return login.CrossOriginTokens
}

// withOrigins returns a handler that refuses requests from pages of other
// origins to the gateway's own endpoints, unless AuthCORS permits them.
func (g *Gateway) withOrigins(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refused, ok := errors.AsType[*wsauth.Error](g.login.CheckOrigin(r)); ok {
			telemetry.Problem(http.StatusForbidden, "origin_not_allowed", refused.Message)(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// EndUser ends all sessions that a user has started until now; see
// [login.Service.EndUser].
func (g *Gateway) EndUser(ctx context.Context, name string) (sessions, sockets int, err error) {
	return g.login.EndUser(ctx, name)
}

// EndEveryone ends all sessions of all users that have started until now, for
// example after a change of who may log in. It returns how many sockets they
// had.
func (g *Gateway) EndEveryone(ctx context.Context) (sockets int, err error) {
	return g.login.EndAllBefore(ctx, time.Now())
}
