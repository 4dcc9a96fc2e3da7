package gateway

import (
	"cmp"
	"log/slog"
	"slices"
	"time"

	"wsauth"
	"wsauth/internal/gateway/discovery"
	"wsauth/internal/gateway/fault"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/gateway/tokens"
	"wsauth/login"
	"wsauth/store"
	"wsauth/store/memory"
)

// Config configures a [Gateway]. Tokens.Keys is required. Without Routes,
// Login.Users is required as well.
type Config struct {
	// Tokens configures the tokens that the gateway issues and accepts.
	Tokens tokens.Config

	// Store keeps sessions, revocations and tickets. The gateway does not
	// close it. Default: in memory, so that a restart ends every session.
	Store store.Store

	// Cluster makes this gateway a node of the cluster whose nodes share Store,
	// which must be a [store.Log], a [store.Clock] and a [store.Counters]. The
	// nodes then answer operators for each other, and Limits apply to the
	// sockets of all nodes together. Default: the gateway is the only node.
	Cluster Cluster

	// TicketKey recognizes tickets of the nodes that share Store; see
	// [wsauth.Config.TicketKey]. Default: a key of this process.
	TicketKey []byte

	// Staleness is how long the gateway relies on its copy of the revocations
	// if Store does not answer. WhenStale says what happens to open sockets
	// after that; see [wsauth.Config]. Defaults: 10 s and [wsauth.EndSockets].
	Staleness time.Duration
	WhenStale wsauth.WhenStale

	// Limits apply to all sockets together. HandshakesPerMinute must be unset,
	// since each route has its own. A negative PerSubject means no limit.
	// Default: 100 sockets per user, [wsauth.EndOldest], and the defaults of
	// [wsauth.Limits].
	Limits wsauth.Limits

	// Origins are the origins whose pages may use this server, such as
	// "https://app.example", each exactly as browsers send it. They replace
	// the default, so they must include this server's own origin as browsers
	// see it. If a proxy terminates TLS, that is the origin of the proxy.
	// Default: the origin that a request is sent to.
	Origins []string

	// AuthCORS allows pages of other origins to use the gateway's own
	// endpoints below Login.Prefix, with tokens or, with Credentials, also
	// with cookies. Methods, Headers and Expose must be unset, since the
	// gateway knows them. AuthCORS does not allow sockets; Origins does.
	// Default: pages of other origins cannot read anything.
	AuthCORS *proxy.CORS

	// Login configures the login service. The gateway sets Guard, Keys,
	// Issuer, Store, Origins, Logger and all functions. Without Users there
	// are no logins here: tokens come from providers or from "wsauth token
	// issue", and Routes are required. The default of TicketBurst is at least
	// Limits.PerSubject, up to [login.MaxTicketBurst], so that all sockets of
	// a user can reconnect together.
	Login login.Config

	// NoAuth disables all endpoints below Login.Prefix. It also disables the
	// published keys, unless a route has an Assertion: upstreams need the keys
	// to verify it. NoAuth requires Routes.
	NoAuth bool

	// Routes are the routes to upstreams. Without any, the gateway serves the
	// demonstration: a page at /, an echo socket at /ws, and the API as forms
	// at /docs. Default: none.
	Routes []proxy.Route

	// Front configures how clients connect. The gateway sets its required
	// fields.
	Front front.Config

	// AccessLog logs each request, and the beginning and end of each socket.
	AccessLog bool

	// Logger logs each login, each refusal, and the beginning and end of each
	// socket with its user, session and route, but never a token, a cookie, a
	// query or a password. Its handler must not block, since event loops call
	// it: a handler that writes to a pipe freezes every socket while the pipe
	// is not read. Default: no log.
	Logger *slog.Logger
}

// minTicketBurst is the smallest default of Login.TicketBurst.
const minTicketBurst = 100

// Check returns c with the defaults of [New], and an error that joins a
// [*fault.Fault] for everything that is wrong with c.
func (c Config) Check() (Config, error) {
	var wrong, found fault.List
	if c.Store == nil {
		c.Store = memory.New(store.Limits{})
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Staleness, c.WhenStale = cmp.Or(c.Staleness, 10*time.Second), cmp.Or(c.WhenStale, wsauth.EndSockets)
	c.Tokens, found = c.Tokens.Check()
	wrong.AddBelow("Tokens", found)
	c.Limits, found = proxy.CheckLimits(c.Limits)
	wrong.AddBelow("Limits", found)
	c.Front, found = c.Front.Check()
	wrong.AddBelow("Front", found)
	if _, ok := c.Store.(sharedStore); c.Cluster != nil && !ok {
		wrong.Add("Cluster", "Store cannot be shared")
	}
	c.checkLogin(&wrong)
	c.checkOwn(&wrong)
	c.Routes, found = proxy.CheckRoutes(c.Routes, c.ownPaths(), c.Tokens.Keys)
	return c, append(wrong, found...).Join()
}

// checkLogin copies the settings that Login shares with c, sets the defaults of
// Login, and checks it.
func (c *Config) checkLogin(wrong *fault.List) {
	l := &c.Login
	l.Keys, l.Issuer, l.Store, l.Origins, l.Logger = c.Tokens.Keys, c.Tokens.Issuer, c.Store, c.Origins, c.Logger
	l.TicketBurst = cmp.Or(l.TicketBurst, min(max(minTicketBurst, c.Limits.PerSubject), login.MaxTicketBurst))
	var found []*login.FieldError
	c.Login, found = l.Check()
	for _, f := range found {
		wrong.Add("Login."+f.Field, "%w", f.Err)
	}
	if l.Users == nil && len(c.Routes) == 0 {
		wrong.Add("Login.Users", "required without routes")
	}
}

// checkOwn checks the fields that concern the gateway's own paths.
func (c *Config) checkOwn(wrong *fault.List) {
	if p := c.Login.Prefix; telemetry.IsHealth(p) || slices.Contains(documents, p) {
		wrong.Add("Login.Prefix", "%q is a path at which the gateway serves something else", p)
	}
	if c.NoAuth && len(c.Routes) == 0 {
		wrong.Add("NoAuth", "needs routes, else nothing is served")
	}
	if c.AuthCORS == nil {
		return
	}
	if c.NoAuth {
		wrong.Add("AuthCORS", "there are no logins and tickets here that a page could ask for: leave it out")
	}
	wrong.AddBelow("AuthCORS", c.AuthCORS.CheckOwn())
}

// documents holds the paths of documents that pages of every origin may read.
var documents = []string{discovery.KeysPath, discovery.MetadataPath}

// ownPaths returns the paths that the gateway answers itself. With NoAuth,
// these are only the published keys, if upstreams need them to verify
// assertions.
func (c *Config) ownPaths() proxy.OwnPaths {
	if c.NoAuth {
		return proxy.OwnPaths{Keys: discovery.KeysPath}
	}
	return proxy.OwnPaths{Prefix: c.Login.Prefix, Published: documents, Keys: discovery.KeysPath, CORS: c.AuthCORS}
}

// Warnings returns the settings of routes, proxies and origins that are valid
// but may be unintended, each as a [*fault.Fault] that names its field. The
// gateway accepts them. c must be complete; see Check.
func (c *Config) Warnings() fault.List {
	all := proxy.Warnings(c.Routes, proxy.Site{Own: c.ownPaths(), Issuer: c.Tokens.Issuer, Origins: c.Origins})
	all.AddBelow("Front", c.Front.Warnings())
	return all
}
