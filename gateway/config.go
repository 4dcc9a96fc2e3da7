package gateway

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"wsauth"
	"wsauth/idp"
	"wsauth/internal/forwarded"
	"wsauth/internal/gateway/discovery"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/httpx"
	"wsauth/login"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// Config configures a [Gateway]. Keys are required and, without Routes, also
// Authenticate.
type Config struct {
	// Keys sign the tokens and verify them: a [*token.KeySet], or keys that
	// are replaced while the gateway runs.
	Keys login.Keys

	// Issuer is the iss of issued tokens, which is then required when they are
	// verified; see [discovery.CheckIssuer]. If it is set, the gateway serves its
	// metadata at /.well-known/openid-configuration. A new Issuer ends every
	// session. Default: none.
	Issuer string

	// Authenticate checks names and passwords; see [login.Authenticator].
	// Without it there are no logins here: tokens come from Providers or from
	// "wsauth token issue", and Routes are required.
	Authenticate login.AuthenticatorFunc

	// Store keeps sessions, revocations and tickets. The gateway does not
	// close it. Default: in memory, so that a restart ends every session.
	Store store.Store

	// AccessTTL is the maximum lifetime of an access token; see
	// [login.Config]. Default: 15 minutes.
	AccessTTL time.Duration

	// RefreshTTL is the lifetime of a refresh token, and so of a session that
	// is not used; see [login.Config]. Default: 30 days.
	RefreshTTL time.Duration

	// SessionTTL is the maximum lifetime of a session, even if it is used; see
	// [login.Config]. Default: 90 days, or RefreshTTL if that is longer.
	SessionTTL time.Duration

	// RefreshGrace is how long after a refresh the refresh token that was
	// replaced may be used once more; see [login.Config]. Default: 10 seconds.
	RefreshGrace time.Duration

	// RefreshRetry is how long after a refresh its request may be repeated
	// with the same Idempotency-Key; see [login.Config]. Default: a day.
	RefreshRetry time.Duration

	// IssuedLeeway is how far the iat and nbf of our own tokens may be ahead
	// of the clock: from [store.ClockStep] to a minute. A larger value is for
	// tokens of another program with the same key whose clock is ahead.
	// Default: store.ClockStep.
	IssuedLeeway time.Duration

	// IntegerSubjects accepts tokens with an integer as sub, from another
	// program with the same key; see [token.VerifierConfig].
	IntegerSubjects bool

	// InsecureUntyped accepts tokens without a type as access tokens, from
	// another program with the same key. Every other JWT that is signed with
	// that key is then accepted as well; see [token.VerifierConfig].
	InsecureUntyped bool

	// LoginsPerHour is how often a user can log in from a network; see
	// [login.Config]. Default: 300.
	LoginsPerHour int

	// MaxSockets is the maximum number of open sockets of a user; see
	// WhenFull. A negative value means no limit. Default: 100.
	MaxSockets int

	// WhenFull says what happens if a user with MaxSockets open sockets opens
	// another. Default: [wsauth.EndOldest].
	WhenFull wsauth.WhenFull

	// TicketBurst is how many tickets a session gets at once, each of which
	// opens one socket; see [login.Config]. Default: 100, or MaxSockets if
	// that is more, so that all sockets of a page can reconnect together.
	TicketBurst int

	// TicketRate is how many tickets per second a session gets after
	// TicketBurst; see [login.Config]. Default: 2.
	TicketRate int

	// MaxUnauthenticated is the maximum number of open sockets whose client
	// has not authenticated; see [wsauth.Limits.Unauthenticated]. At least 1.
	// Default: 1000.
	MaxUnauthenticated int

	// MaxUnauthenticatedPerAddress is the same limit for one IPv4 address or
	// IPv6 /64. At least 1. Default: 100.
	MaxUnauthenticatedPerAddress int

	// MaxConnections is the maximum number of client connections. It is
	// reduced to what the limit of file descriptors (RLIMIT_NOFILE) allows: an
	// eighth of that limit, from 48 to 1024, is reserved for the store, for
	// operators and for other files. Clients get half of the rest; the
	// remainder is for connections to upstreams. The last eighth of
	// MaxConnections opens no sockets, so that logins are still possible.
	// Default: as many as the limit allows.
	MaxConnections int

	// MaxConnectionsPerAddress is the same limit for one IPv4 address or IPv6
	// /64. It does not apply to TrustedProxies, but to each of their clients.
	// Default: half of MaxConnections.
	MaxConnectionsPerAddress int

	// TrustedProxies are the proxies that may name their clients: addresses,
	// networks such as "10.0.0.0/8", "private" for the private networks and
	// this machine, or "unix" for the clients of a Unix socket. What other
	// peers say about clients is dropped. The client's address is used in
	// logs, limits, sessions, origins and requests to upstreams; it grants
	// nothing. Trusted proxies may open any number of connections; see
	// MaxConnectionsPerAddress. Default: none.
	TrustedProxies []string

	// ForwardedSource is where trusted proxies name their clients. Other
	// headers are dropped, since proxies may pass on those of clients. With
	// forwarded.ProxyProtocol, each connection to [Gateway.Serve] must begin
	// with a header of the PROXY protocol, version 1 or 2, from a trusted
	// proxy. Default: forwarded.XForwardedFor.
	ForwardedSource forwarded.Source

	// ForwardedScheme is the scheme of every request from a trusted proxy,
	// "http" or "https". It is for a proxy that terminates TLS without saying
	// so; what the proxy says is ignored. Default: what the proxy says, or the
	// scheme of the connection.
	ForwardedScheme string

	// ForwardedHost takes the host from X-Forwarded-Host, or from the host
	// parameter of Forwarded, instead of from Host. The host chooses the
	// route: set ForwardedHost only if the proxy replaces this header of its
	// clients.
	ForwardedHost bool

	// ForwardedPort takes the port of the host from X-Forwarded-Port, for a
	// proxy that omits it from Host.
	ForwardedPort bool

	// Origins are the origins whose pages may use this server, such as
	// "https://app.example", each exactly as browsers send it. They replace
	// the default, so include this server's own origin as browsers see it, for
	// example if a proxy terminates TLS. Default: the origin that a request is
	// sent to.
	Origins []string

	// AuthCORS allows pages of other origins to use the gateway's own
	// endpoints below AuthPrefix, with tokens or, with Credentials, also with
	// cookies. Methods, Headers and Expose must be unset, since the gateway
	// knows them. AuthCORS does not allow sockets; Origins does. Default:
	// pages of other origins read nothing.
	AuthCORS *CORS

	// Providers are identity providers. Their access tokens are accepted for
	// sockets, tickets and sessions like our own, and they can end those
	// sessions. Each needs a namespace. Default: none.
	Providers []*idp.Provider

	// Routes are the routes to upstreams. Without any, the gateway serves the
	// demonstration: a page at /, an echo socket at /ws, and the API as forms
	// at /docs. Default: none.
	Routes []Route

	// AuthPrefix is the path below which the gateway serves logins, tickets
	// and the module for browsers. Default: "/auth".
	AuthPrefix string

	// Certificate returns the certificate for TLS, like
	// [tls.Config.GetCertificate]. With it, [Gateway.Serve] uses TLS 1.2 or
	// later, with HTTP/2 or HTTP/1.1 for plain requests and HTTP/1.1 for
	// sockets. Default: no TLS.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

	// Drain is how long [Gateway.Serve] takes to stop, at most. Sockets end
	// one after another during at most half of it. From a second to an hour.
	// Default: 10 seconds.
	Drain time.Duration

	// NoAuth disables all endpoints below AuthPrefix. It also disables the
	// published keys, unless a route has an Assertion, which upstreams verify
	// with them. It requires Routes.
	NoAuth bool

	// AccessLog logs each request, and the beginning and end of each socket.
	AccessLog bool

	// Logger logs each login, each refusal, and the beginning and end of each
	// socket with its user, session and route, but never a token, a cookie, a
	// query or a password. Its handler must not block, since event loops call
	// it: a handler that writes to a pipe freezes every socket while the pipe
	// is not read. Default: no log.
	Logger *slog.Logger
}

const (
	maxDrain = time.Hour

	// maxIssuedLeeway is the maximum that [token.VerifierConfig] allows.
	maxIssuedLeeway = time.Minute

	// leastTicketBurst is the minimum of the default for TicketBurst.
	leastTicketBurst = 100

	defaultMaxSockets                   = 100
	defaultDrain                        = 10 * time.Second
	defaultMaxUnauthenticated           = 1000
	defaultMaxUnauthenticatedPerAddress = 100
)

// Check returns c with the defaults of [New], and an error that joins a
// [*fault.Fault] for everything that is wrong with c.
func (c Config) Check() (Config, error) {
	c.fill()
	wrong := c.checkLogin()
	if c.Issuer != "" {
		if err := discovery.CheckIssuer(c.Issuer); err != nil {
			wrong.Add("Issuer", "%w", err)
		}
	}
	if c.Authenticate == nil && len(c.Routes) == 0 {
		wrong.Add("Authenticate", "required without routes")
	}
	wrong = append(wrong, c.checkRoutes()...)
	if c.IssuedLeeway < store.ClockStep || c.IssuedLeeway > maxIssuedLeeway {
		wrong.Add("IssuedLeeway", "must be from %s to %s", store.ClockStep, maxIssuedLeeway)
	}
	if c.WhenFull != wsauth.EndOldest && c.WhenFull != wsauth.RefuseNew {
		wrong.Add("WhenFull", "must be EndOldest or RefuseNew")
	}
	if c.MaxUnauthenticated < 1 {
		wrong.Add("MaxUnauthenticated", "must be at least 1")
	}
	if c.MaxUnauthenticatedPerAddress < 1 {
		wrong.Add("MaxUnauthenticatedPerAddress", "must be at least 1")
	}
	if c.MaxConnections < 0 {
		wrong.Add("MaxConnections", "must not be negative")
	}
	if c.MaxConnectionsPerAddress < 0 {
		wrong.Add("MaxConnectionsPerAddress", "must not be negative")
	}
	c.checkProxies(&wrong)
	wrong = append(wrong, c.checkAuthCORS()...)
	if c.Drain < time.Second || c.Drain > maxDrain {
		wrong.Add("Drain", "must be from %s to %s", time.Second, maxDrain)
	}
	for i, o := range c.Origins {
		if err := httpx.CheckOrigin(o); err != nil {
			wrong.Add(fmt.Sprintf("Origins[%d]", i), "%w", err)
		}
	}
	return c, wrong.Join()
}

// OwnTokens returns the rules by which a gateway verifies the tokens that it
// has issued: iat and nbf may be ahead of the clock by IssuedLeeway, and exp
// must be in the future.
func (c *Config) OwnTokens() token.VerifierConfig {
	return token.VerifierConfig{
		Keys: c.Keys, Issuer: c.Issuer, IssuedLeeway: cmp.Or(c.IssuedLeeway, store.ClockStep), IntegerSubjects: c.IntegerSubjects, InsecureUntyped: c.InsecureUntyped,
	}
}

// fill sets the defaults of unset fields. It is idempotent, since [New] and
// [Gateway.Update] may get a Config that Check has completed.
func (c *Config) fill() {
	if c.Store == nil {
		c.Store = memory.New(store.Limits{})
	}
	c.AuthPrefix = cmp.Or(c.AuthPrefix, "/auth")
	c.IssuedLeeway = cmp.Or(c.IssuedLeeway, store.ClockStep)
	c.MaxSockets = proxy.LimitOr(c.MaxSockets, defaultMaxSockets)
	c.WhenFull = cmp.Or(c.WhenFull, wsauth.EndOldest)
	c.TicketBurst = cmp.Or(c.TicketBurst, min(max(leastTicketBurst, c.MaxSockets), login.MaxTicketBurst))
	c.MaxUnauthenticated = cmp.Or(c.MaxUnauthenticated, defaultMaxUnauthenticated)
	c.MaxUnauthenticatedPerAddress = cmp.Or(c.MaxUnauthenticatedPerAddress, defaultMaxUnauthenticatedPerAddress)
	c.Drain = cmp.Or(c.Drain, defaultDrain)
	c.ForwardedSource = cmp.Or(c.ForwardedSource, forwarded.XForwardedFor)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

type (
	// Route is the configuration of a route.
	Route = proxy.Route
	// RouteLimits are the limits of a route.
	RouteLimits = proxy.RouteLimits
	// Health is the configuration of a route's health checks.
	Health = proxy.Health
	// CORS names the origins whose pages may read the answers of a route.
	CORS = proxy.CORS
	// HeaderLists is the format of lists in identity headers.
	HeaderLists = proxy.HeaderLists
)

// The formats of lists in identity headers.
const (
	ListsByComma = proxy.ListsByComma
	ListsAsJSON  = proxy.ListsAsJSON
)
