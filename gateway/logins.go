package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"wsauth"
	"wsauth/internal/gateway/fault"
	"wsauth/internal/gateway/telemetry"
	"wsauth/login"
	"wsauth/token"
)

// newLogin returns the login service. Without an Authenticator, nobody can log
// in; the service then keeps only the sessions of tokens that were issued
// elsewhere.
func (g *Gateway) newLogin(c Config) (*login.Service, error) {
	own := c.OwnTokens()
	own.IssuedAnyTime = true
	verifier, err := token.NewVerifier(own)
	if err != nil {
		return nil, fmt.Errorf("gateway: verifier: %w", err)
	}
	l := c.login()
	l.Guard, l.Origins = g.guard, c.Origins
	l.CrossOrigin, l.TicketPath = g.crossOrigin, func(r *http.Request, path string) error { return g.routes.CheckTicketPath(r, path) }
	l.Welcome = func(path string) bool { return g.demo != nil && path == socketPath }
	l.Refused = func(r *http.Request, reason string) { telemetry.From(r.Context()).SetReason(reason) }
	if l.EndVerifier, err = withProviders(verifier, c.Providers); err != nil {
		return nil, fmt.Errorf("gateway: Config.Providers: %w", err)
	}
	return login.New(l)
}

// login returns the part of c that configures the login service.
func (c *Config) login() login.Config {
	l := login.Config{
		Store:         c.Store,
		Keys:          c.Keys,
		Issuer:        c.Issuer,
		Prefix:        c.AuthPrefix,
		AccessTTL:     c.AccessTTL,
		RefreshTTL:    c.RefreshTTL,
		SessionTTL:    c.SessionTTL,
		RefreshGrace:  c.RefreshGrace,
		RefreshRetry:  c.RefreshRetry,
		LoginsPerHour: c.LoginsPerHour,
		TicketBurst:   c.TicketBurst,
		TicketRate:    c.TicketRate,
		Logger:        c.Logger,
	}
	if c.Authenticate != nil {
		l.Users = c.Authenticate
	}
	return l
}

// checkLogin sets the defaults of the fields that c shares with the login
// service, and returns the faults in them.
func (c *Config) checkLogin() (wrong fault.List) {
	l, found := c.login().Check()
	c.AccessTTL, c.RefreshTTL, c.SessionTTL = l.AccessTTL, l.RefreshTTL, l.SessionTTL
	c.RefreshGrace, c.RefreshRetry = l.RefreshGrace, l.RefreshRetry
	c.LoginsPerHour, c.TicketBurst, c.TicketRate = l.LoginsPerHour, l.TicketBurst, l.TicketRate
	for _, f := range found {
		if f.Field != "Prefix" { // checkRoutes checks the prefix
			wrong.Add(f.Field, "%w", f.Err)
		}
	}
	return wrong
}

// loginEndpoints returns the endpoints of the login service. Without an
// Authenticator it omits refresh, since there is nothing to refresh.
func (g *Gateway) loginEndpoints(c Config) []endpoint {
	var all []endpoint
	for _, pattern := range g.login.Patterns() {
		method, path, _ := strings.Cut(pattern, " ")
		if c.Authenticate != nil || path != c.AuthPrefix+"/refresh" {
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
