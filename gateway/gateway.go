package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"wsauth"
	"wsauth/internal/eventloop"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/httpx"
	"wsauth/internal/problem"
	"wsauth/internal/relay"
	"wsauth/login"
	"wsauth/store"
	"wsauth/token"
)

// A Gateway is the http.Handler of the whole server. [Gateway.Serve] runs it
// in an http.Server with the limits that it relies on. It is safe for
// concurrent use.
type Gateway struct {
	guard  *wsauth.Guard
	login  *login.Service
	issuer *token.Issuer // for assertions
	log    *slog.Logger

	front  *front.Server
	health http.Handler // answers health checks
	own    http.Handler // answers the gateway's own paths
	routes *proxy.Routes
	demo   *demonstration // nil with routes

	recorder *telemetry.Recorder

	config     Config             // checked
	longTokens int                // see tokens.Config.LongTokens
	logsIn     bool               // users log in here
	extractors []wsauth.Extractor // where credentials may be; a route can override it
	events     *eventloop.Group   // of carrier, and for waiting for clients and upstreams
	carrier    *relay.Relay

	stopFollowing func() // ends the updates of the keys of providers
}

// New returns a gateway for c. It reports all errors in c at once, each a
// [*fault.Fault] with the name of its field. The gateway follows the store
// until [Gateway.Shutdown].
func New(c Config) (*Gateway, error) {
	c, err := c.Check()
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		log:        c.Logger,
		recorder:   telemetry.New(c.Logger, c.AccessLog),
		config:     c,
		longTokens: c.Tokens.LongTokens(),
		logsIn:     c.Login.Users != nil && !c.NoAuth,
		extractors: proxy.DefaultExtractors(),
	}
	verifiers, err := c.Tokens.Verifiers()
	if err != nil {
		return nil, err
	}
	g.issuer, err = token.NewIssuer(token.IssuerConfig{Key: c.Tokens.Keys, Issuer: c.Tokens.Issuer, AccessTTL: c.Login.AccessTTL, RefreshTTL: c.Login.RefreshTTL})
	if err != nil {
		return nil, fmt.Errorf("gateway: issuer: %w", err)
	}
	if g.guard, err = g.newGuard(verifiers.All); err != nil { // last, because it begins to follow the store
		return nil, err
	}
	if g.login, err = g.newLogin(verifiers.Ending); err == nil {
		err = g.open(verifiers.Own)
	}
	if err != nil {
		return nil, errors.Join(err, g.guard.Shutdown(context.Background()))
	}
	g.stopFollowing = c.Tokens.Follow()
	return g, nil
}

// open creates the event loops, the routes or the demonstration, and the
// handler of all requests. verifier verifies our own tokens.
func (g *Gateway) open(verifier *token.Verifier) (err error) {
	c := &g.config
	// The demonstration is at the other end of a pipe, which event loops
	// cannot watch.
	if g.events, err = eventloop.New(eventloop.Options{Portable: len(c.Routes) == 0, Paused: g.guard.Paused}); err != nil {
		return fmt.Errorf("gateway: event loops: %w", err)
	}
	g.carrier = relay.New(g.events)
	g.front = g.newFront()
	g.routes = g.newRoutes(verifier)
	if len(c.Routes) == 0 {
		g.demo, err = g.openDemo()
	} else {
		err = g.routes.Update(c.Routes)
	}
	if err != nil {
		g.carrier.Close()
		return err
	}
	endpoints, err := g.endpoints(*c)
	if err != nil {
		g.closeRoutes()
		g.carrier.Close()
		return err
	}
	g.own = httpx.WithSecurityHeaders(g.withOrigins(newMux(g.recorded(endpoints))))
	g.health = httpx.WithSecurityHeaders(g.healthChecks().Handler())
	g.recorder.Report(g.state())
	return nil
}

// newFront returns the server that accepts clients and reads their requests.
func (g *Gateway) newFront() *front.Server {
	f := g.config.Front
	f.Serve, f.Handshake, f.Shutdown = g.serveRequest, g.serveHandshake, g.Shutdown
	f.Events, f.MaxHead = g.events, problem.MaxHead+g.longTokens
	f.Logger, f.ErrorLog = g.log, telemetry.NewServerLog(g.log)
	return front.New(f)
}

// newRoutes returns the routes, still without a route. verifier verifies our
// own tokens.
func (g *Gateway) newRoutes(verifier *token.Verifier) *proxy.Routes {
	c := proxy.Config{
		Guard:      g.guard,
		Extractors: g.extractors,
		Issuer:     g.issuer,
		OwnIssuer:  g.config.Tokens.Issuer,
		Keys:       g.config.Tokens.Keys,
		Verifier:   verifier,
		Own:        g.config.ownPaths(),
		PresentRefresh: func(ctx context.Context, claims *token.Claims, route string) error {
			return g.login.Present(ctx, claims, "route", route)
		},
		Reserve:  g.front.Limiter().ReserveUpstream,
		Release:  g.front.Limiter().ReleaseUpstream,
		Events:   g.events,
		Carrier:  g.carrier,
		Recorder: g.recorder,
		Logger:   g.log,
	}
	if g.logsIn {
		c.StripLogin = g.login.StripCookies
	}
	return proxy.New(c)
}

// newGuard returns the guard, from which those of the routes are derived.
func (g *Gateway) newGuard(verifier wsauth.Verifier) (*wsauth.Guard, error) {
	c := &g.config
	limits := c.Limits
	limits.PerSubject = proxy.Bound(limits.PerSubject)
	guard, err := wsauth.New(wsauth.Config{
		Verifier:    verifier,
		Extractors:  g.extractors,
		Origins:     c.Origins,
		Revocations: c.Store,
		Tickets:     c.Store,
		Limits:      limits,
		Refusal:     wsauth.RefuseClose,
		Observer:    observer{g},
		Logger:      g.log,
	})
	if err != nil {
		return nil, fmt.Errorf("gateway: guard: %w", err)
	}
	return guard, nil
}

// Drain ends every open socket as [Gateway.Shutdown] does, and refuses new
// ones. /readyz then reports that the gateway is not ready, so that load
// balancers send clients elsewhere. Plain requests are still answered. Drain
// cannot be undone.
func (g *Gateway) Drain(ctx context.Context) error {
	g.log.Info("draining")
	return g.guard.Drain(ctx)
}

// Shutdown ends every open socket with close code 1012 and reason
// "restarting", and waits until they are closed or ctx is done. Then it cuts
// the connections that are left.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.stopFollowing()
	err := g.guard.Shutdown(ctx)
	if errors.Is(err, store.ErrNotDurable) {
		g.log.Error("these revocations are lost, since the store has not taken them", "revocations", g.guard.Stats().Held)
		if !errors.Is(err, context.DeadlineExceeded) { // sockets were still open
			err = nil
		}
	}
	g.carrier.Close()
	g.closeRoutes()
	return err
}

// closeRoutes closes the demonstration and the connections to upstreams.
func (g *Gateway) closeRoutes() {
	if g.demo != nil {
		g.demo.close()
	}
	g.routes.Close()
}

// Update replaces the routes; see [proxy.Routes.Update]. If it returns an
// error, which joins all errors, nothing has changed.
func (g *Gateway) Update(routes []proxy.Route) error {
	if len(routes) == 0 {
		return errors.New("gateway: Update: at least one route is required")
	}
	routes, wrong := proxy.CheckRoutes(routes, g.config.ownPaths(), g.config.Tokens.Keys)
	if err := wrong.Join(); err != nil {
		return err
	}
	return g.routes.Update(routes)
}

// RemoveRoutes removes all routes, with their sockets, until [Gateway.Update]
// sets new ones. In the meantime, the gateway answers only its own paths.
func (g *Gateway) RemoveRoutes() error {
	if g.demo != nil {
		return errors.New("gateway: RemoveRoutes: the demonstration has none")
	}
	return g.routes.Update(nil)
}
