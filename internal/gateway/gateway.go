package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"wsauth"
	"wsauth/internal/eventloop"
	"wsauth/internal/gateway/admin"
	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/peers"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/telemetry"
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
	config     Config // checked
	maxHeaders int    // bytes of all header fields of a request
	log        *slog.Logger
	recorder   *telemetry.Recorder

	guard  *wsauth.Guard
	issuer *token.Issuer // for assertions
	login  *login.Service
	peers  *peers.Peers // nil without Config.Cluster

	events  *eventloop.Group // accept clients, run carrier, and wait for upstreams
	carrier *relay.Relay
	front   *front.Server
	routes  *proxy.Routes
	demo    *proxy.Handler // the demonstration's socket; nil with routes
	own     http.Handler   // answers the gateway's own paths
	health  http.Handler   // answers health checks

	stopFollowing func() // stops updating the providers' keys
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
		config:     c,
		maxHeaders: problem.MaxHeaders + c.Tokens.LongTokens(),
		log:        c.Logger,
		recorder:   telemetry.New(c.Logger, c.AccessLog),
	}
	verifiers, err := c.Tokens.Verifiers()
	if err != nil {
		return nil, err
	}
	g.issuer, err = token.NewIssuer(token.IssuerConfig{Key: c.Tokens.Keys, Issuer: c.Tokens.Issuer, AccessTTL: c.Login.AccessTTL, RefreshTTL: c.Login.RefreshTTL})
	if err != nil {
		return nil, fmt.Errorf("gateway: issuer: %w", err)
	}
	g.peers = c.newPeers()
	// After an error from here on, the guard must be shut down, because it
	// follows the store.
	guard := wsauth.Config{
		Verifier: verifiers.All, Origins: c.Origins, Revocations: c.Store, OnEvent: g.onEvent(), Tickets: c.Store, TicketKey: c.TicketKey, Staleness: c.Staleness, WhenStale: c.WhenStale, Limits: c.Limits,
		Observer: observer{telemetry.Observer{Recorder: g.recorder}, g}, Logger: g.log,
	}
	c.shareLimits(&guard)
	if g.guard, err = proxy.NewGuard(guard); err != nil {
		return nil, err
	}
	if g.login, err = g.newLogin(verifiers.Ending); err == nil {
		err = g.open(verifiers.Own)
	}
	if err == nil && g.peers != nil {
		_, err = g.Admin(admin.Config{}) // serves other nodes until Admin is called for operators
	}
	if err != nil {
		return nil, errors.Join(err, g.guard.Shutdown(context.Background()))
	}
	g.stopFollowing = c.Tokens.Follow()
	return g, nil
}

// newLogin returns the login service. Without Users, it keeps only the
// sessions of tokens that were issued elsewhere. ending verifies the tokens in
// requests that end sessions.
func (g *Gateway) newLogin(ending wsauth.Verifier) (*login.Service, error) {
	c := g.config.Login
	c.Guard, c.EndVerifier = g.guard, ending
	c.CrossOrigin = func(r *http.Request) (tokens, cookies bool) { return g.routes.OwnCORS(r) }
	c.TicketPath = func(r *http.Request, path string) error { return g.routes.CheckTicketPath(r, path) }
	c.Welcome = func(path string) bool { return g.demo != nil && path == demo.SocketPath }
	c.Refused = func(r *http.Request, reason string) { telemetry.From(r.Context()).SetReason(reason) }
	return login.New(c)
}

// open creates the event loops, the routes or the demonstration, and the
// handlers of all requests. verifier verifies our own tokens.
func (g *Gateway) open(verifier *token.Verifier) (err error) {
	// The demonstration is connected by an in-process pipe, which event loops
	// cannot watch.
	isDemo := len(g.config.Routes) == 0
	if g.events, err = eventloop.New(eventloop.Options{Portable: isDemo, Paused: g.guard.Paused}); err != nil {
		return fmt.Errorf("gateway: event loops: %w", err)
	}
	g.carrier = relay.New(g.events)
	g.front = g.newFront()
	g.routes = g.newRoutes(verifier)
	if isDemo {
		g.demo, err = g.routes.Handler(demoRoute, demo.Start())
	} else {
		err = g.routes.Update(g.config.Routes)
	}
	if err == nil {
		g.own, err = g.newOwn()
	}
	if err != nil {
		g.routes.Close()
		g.carrier.Close()
		return err
	}
	g.health = problem.WithSecurityHeaders(g.healthChecks().Handler())
	g.recorder.RegisterState(telemetry.State{Upstreams: g.routes.CountUpstreams, Guard: g.guard.Stats, Connections: g.front.Connections})
	return nil
}

// newFront returns the server that accepts clients and reads their requests.
func (g *Gateway) newFront() *front.Server {
	c := g.config.Front
	c.Serve, c.Handshake, c.Shutdown = g.serveRequest, g.serveHandshake, g.Shutdown
	c.Events, c.MaxHead = g.events, problem.MaxHead+g.config.Tokens.LongTokens()
	c.Logger, c.ErrorLog = g.log, telemetry.NewServerLog(g.log)
	return front.New(c)
}

// newRoutes returns an empty set of routes. verifier verifies our own tokens.
func (g *Gateway) newRoutes(verifier *token.Verifier) *proxy.Routes {
	c := proxy.Config{
		Guard:     g.guard,
		Issuer:    g.issuer,
		OwnIssuer: g.config.Tokens.Issuer,
		Keys:      g.config.Tokens.Keys,
		Verifier:  verifier,
		Own:       g.config.ownPaths(),
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
	if g.config.Login.Users != nil && !g.config.NoAuth {
		c.StripLogin = g.login.StripCookies
	}
	return proxy.New(c)
}

// Login returns the login service.
func (g *Gateway) Login() *login.Service { return g.login }

// Update replaces the routes; see [proxy.Routes.Update]. If it fails, nothing
// has changed. The error joins everything that is wrong with routes.
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

// Shutdown ends every open socket with close code 1012 and reason
// "restarting", and waits until they are closed or ctx is done. Then it cuts
// the connections that are left.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.stopFollowing()
	err := g.guard.Shutdown(ctx)
	if errors.Is(err, store.ErrNotDurable) {
		g.log.Error("these revocations are lost, since the store has not taken them", "revocations", g.guard.Stats().Held)
		if !errors.Is(err, context.DeadlineExceeded) { // else sockets were still open
			err = nil
		}
	}
	g.carrier.Close()
	g.routes.Close()
	return err
}
