package gateway

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"wsauth"
	"wsauth/idp"
	"wsauth/login"
	"wsauth/store"
	"wsauth/token"
)

// Config says whom a [Gateway] lets in and for how long. Keys are required,
// and without Routes so is Authenticate.
type Config struct {
	// Keys sign the tokens and verify them: a [*token.KeySet], or keys that are
	// replaced while the gateway runs.
	Keys login.Keys

	// Issuer is the iss of the tokens, which then must have it; see
	// [CheckIssuer]. With it the gateway describes itself at
	// /.well-known/openid-configuration. To change it ends every session.
	// Default: none.
	Issuer string

	// Authenticate checks names and passwords; see [login.Authenticator].
	// Without it, which needs Routes, nobody logs in here: tokens come from
	// Providers, or from "wsauth token issue".
	Authenticate login.AuthenticatorFunc

	// Store keeps the sessions, what was revoked, and tickets. The gateway does
	// not close it. Default: memory, so that a restart ends every session.
	Store store.Store

	// AccessTTL is the maximum lifetime of an access token; see
	// [login.Config]. Default: 15 minutes.
	AccessTTL time.Duration

	// RefreshTTL is the lifetime of a refresh token, and so of a session that
	// is not used; see [login.Config]. Default: 30 days.
	RefreshTTL time.Duration

	// SessionTTL is the lifetime of a session, however much it is used; see
	// [login.Config]. Default: 90 days, or RefreshTTL if that is longer.
	SessionTTL time.Duration

	// RefreshGrace is how long after a refresh the refresh token that was
	// replaced may be used once more; see [login.Config]. Default: 10 seconds.
	RefreshGrace time.Duration

	// RefreshRetry is how long after a refresh its request may be repeated with
	// the same Idempotency-Key; see [login.Config]. Default: a day.
	RefreshRetry time.Duration

	// IssuedLeeway is how far the iat and nbf of our own tokens may be ahead:
	// from [store.ClockStep] to a minute. More than that is for tokens of
	// another program with the same key, whose clock is ahead. Default:
	// store.ClockStep.
	IssuedLeeway time.Duration

	// IntegerSubjects accepts tokens of another program with the same key
	// whose sub is an integer; see token.VerifierConfig.
	IntegerSubjects bool

	// InsecureUntyped takes tokens without a type for access tokens, as other
	// programs with the same key issue them. Every other JWT that is signed
	// with that key passes as well; see token.VerifierConfig.
	InsecureUntyped bool

	// LoginsPerHour is how often one user can log in from one network; see
	// [login.Config]. Default: 300.
	LoginsPerHour int

	// MaxSockets is how many sockets one user may have open; WhenFull says
	// what becomes of one more. A negative one is no limit. Default: 100.
	MaxSockets int

	// WhenFull says what happens when a user who has MaxSockets opens one more.
	// Default: [wsauth.EndOldest].
	WhenFull wsauth.WhenFull

	// TicketBurst is how many tickets one session gets at once, each of which
	// opens one socket; see [login.Config]. Default: 100, or MaxSockets if that
	// is more, so that all sockets of a page can reconnect together.
	TicketBurst int

	// TicketRate is how many tickets per second a session gets after
	// TicketBurst; see [login.Config]. Default: 2.
	TicketRate int

	// MaxUnauthenticated is how many sockets may be open whose client has not
	// authenticated: see [wsauth.Limits.Unauthenticated]. At least 1. Default:
	// 1000.
	MaxUnauthenticated int

	// MaxUnauthenticatedPerAddress is how many of them may be of one address,
	// or of one /64 of IPv6. At least 1. Default: 100.
	MaxUnauthenticatedPerAddress int

	// MaxConnections is how many connections clients may have open, at most as
	// many as the limit of file descriptors (RLIMIT_NOFILE) has room for. An
	// eighth of that limit, from 48 to 1024, is kept for the store, for
	// operators and for other files. Of the rest, clients get half, and what
	// they leave is for connections to upstreams. The last eighth of
	// MaxConnections opens no sockets, so that logins still pass. Default: as
	// many as there is room for.
	MaxConnections int

	// MaxConnectionsPerAddress is how many of them may be of one address, or of
	// one /64 of IPv6. It does not hold for TrustedProxies, but for each of
	// their clients. Default: half of MaxConnections.
	MaxConnectionsPerAddress int

	// TrustedProxies are the proxies that are believed when they say who their
	// clients are: addresses, networks such as "10.0.0.0/8", "private" for the
	// private networks and this machine, or "unix" for the clients of a
	// Unix socket. What others say is dropped. The address of a client is for
	// logs, limits, sessions, origins and upstreams; it grants nothing. Trusted
	// proxies may have as many connections as they need; see
	// MaxConnectionsPerAddress. Default: none.
	TrustedProxies []string

	// ForwardedSource is where trusted proxies say it. What they say elsewhere
	// is dropped, since proxies pass on what clients send. With
	// [wsauth.ProxyProtocol], each connection to [Gateway.Serve] must begin
	// with a header of the PROXY protocol, version 1 or 2, from a trusted proxy.
	// Default: [wsauth.XForwardedFor].
	ForwardedSource wsauth.ForwardedSource

	// ForwardedScheme is the scheme of every request that a trusted proxy passes
	// on, "http" or "https", for a proxy that ends TLS and does not say so. What
	// it says is dropped then. Default: as the proxy says, or that of the
	// connection.
	ForwardedScheme string

	// ForwardedHost takes the host from X-Forwarded-Host, or from the host of
	// the Forwarded field, in place of the Host field. It chooses the route:
	// set it only if the proxy replaces what clients send there.
	ForwardedHost bool

	// ForwardedPort takes the port of the host from X-Forwarded-Port, for a
	// proxy that leaves it out of the Host field.
	ForwardedPort bool

	// Origins are the origins under which browsers see this server, such as "https://app.example" where a proxy in front ends
	// TLS, and any others whose pages may use it, each exactly as browsers send it; see [wsauth.CheckOrigin]. They replace the
	// default, which is the origin that a request is sent to.
	Origins []string

	// AuthCORS lets pages of other origins use what the gateway answers itself
	// below AuthPrefix, with tokens, or with Credentials by cookies too. Its
	// Methods, Headers and Expose are known, and must be unset. It opens no
	// sockets. Default: no page of another origin reads anything.
	AuthCORS *CORS

	// Providers are identity providers whose access tokens are good for sockets, tickets and sessions beside our own, and which may
	// end those. Each needs a namespace. Default: none.
	Providers []*idp.Provider

	// Routes are what the gateway stands in front of. Default: none, and it serves the demonstration: a page at /, an echo
	// socket at /ws, and the API as forms at /docs.
	Routes []Route

	// AuthPrefix is the path below which the gateway answers itself: logins, tickets and the module for browsers. Default:
	// "/auth".
	AuthPrefix string

	// Certificate makes [Gateway.Serve] speak TLS, 1.2 or later, with the certificate that it returns: HTTP/2 for plain requests, and
	// HTTP/1.1 for them and for sockets. It is [tls.Config.GetCertificate]. Default: no TLS.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

	// Drain is how long [Gateway.Serve] takes at most to end when it is told to: for half of it, or less, sockets are ended one after
	// the other. At least a second, at most an hour. Default: 10 seconds.
	Drain time.Duration

	// NoAuth leaves out all that the gateway answers itself below AuthPrefix, and its published keys unless a route has an Assertion,
	// which is verified with them. It needs Routes.
	NoAuth bool

	// AccessLog lets Logger have a line for each request, and for each socket one at its begin and one at its end.
	AccessLog bool

	// Logger gets a line for each login, each refusal, and each begin and end
	// of a socket with its user, session and route, never with a token, a
	// cookie, a query or a password. Its handler must not block, since event
	// loops call it: one that writes to a pipe freezes every socket while
	// nobody reads the pipe. Default: no log.
	Logger *slog.Logger
}

const (
	// maxDrain is the maximum of Drain.
	maxDrain = time.Hour

	// maxIssuedLeeway is the maximum that a verifier allows.
	maxIssuedLeeway = time.Minute

	// leastTicketBurst is the least default of TicketBurst.
	leastTicketBurst = 100

	defaultMaxSockets                   = 100
	defaultDrain                        = 10 * time.Second
	defaultMaxUnauthenticated           = 1000
	defaultMaxUnauthenticatedPerAddress = 100
)

// Check returns c with the defaults that [New] fills in for what is unset, and all that is wrong with it, each a [*Fault].
func (c Config) Check() (Config, error) {
	c.fill()
	wrong := c.checkLogin()
	if c.Issuer != "" {
		if err := CheckIssuer(c.Issuer); err != nil {
			wrong.add("Issuer", "%w", err)
		}
	}
	if c.Authenticate == nil && len(c.Routes) == 0 {
		wrong.add("Authenticate", "required without routes")
	}
	wrong = append(wrong, c.checkRoutes()...)
	if c.IssuedLeeway < store.ClockStep || c.IssuedLeeway > maxIssuedLeeway {
		wrong.add("IssuedLeeway", "must be from %s to %s", store.ClockStep, maxIssuedLeeway)
	}
	if c.WhenFull != wsauth.EndOldest && c.WhenFull != wsauth.RefuseNew {
		wrong.add("WhenFull", "must be EndOldest or RefuseNew")
	}
	if c.MaxUnauthenticated < 1 {
		wrong.add("MaxUnauthenticated", "must be at least 1")
	}
	if c.MaxUnauthenticatedPerAddress < 1 {
		wrong.add("MaxUnauthenticatedPerAddress", "must be at least 1")
	}
	if c.MaxConnections < 0 {
		wrong.add("MaxConnections", "must not be negative")
	}
	if c.MaxConnectionsPerAddress < 0 {
		wrong.add("MaxConnectionsPerAddress", "must not be negative")
	}
	c.checkProxies(&wrong)
	wrong = append(wrong, c.checkAuthCORS()...)
	if c.Drain < time.Second || c.Drain > maxDrain {
		wrong.add("Drain", "must be from %s to %s", time.Second, maxDrain)
	}
	for i, o := range c.Origins {
		if err := wsauth.CheckOrigin(o); err != nil {
			wrong.add(fmt.Sprintf("Origins[%d]", i), "%w", err)
		}
	}
	return c, wrong.join()
}

// OwnTokens returns the rules by which a gateway verifies the tokens that it
// has issued: iat and nbf may be ahead by IssuedLeeway, and exp by nothing.
func (c *Config) OwnTokens() token.VerifierConfig {
	return token.VerifierConfig{
		Keys: c.Keys, Issuer: c.Issuer, IssuedLeeway: cmp.Or(c.IssuedLeeway, store.ClockStep), IntegerSubjects: c.IntegerSubjects, InsecureUntyped: c.InsecureUntyped,
	}
}

// fill sets the defaults of unset fields. It is idempotent, since [New] and
// [Gateway.Update] complete what Check may have completed before.
func (c *Config) fill() {
	if c.Store == nil {
		c.Store = store.NewMemory(0)
	}
	c.AuthPrefix = cmp.Or(c.AuthPrefix, "/auth")
	c.IssuedLeeway = cmp.Or(c.IssuedLeeway, store.ClockStep)
	c.MaxSockets = limitOr(c.MaxSockets, defaultMaxSockets)
	c.WhenFull = cmp.Or(c.WhenFull, wsauth.EndOldest)
	c.TicketBurst = cmp.Or(c.TicketBurst, min(max(leastTicketBurst, c.MaxSockets), login.MaxTicketBurst))
	c.MaxUnauthenticated = cmp.Or(c.MaxUnauthenticated, defaultMaxUnauthenticated)
	c.MaxUnauthenticatedPerAddress = cmp.Or(c.MaxUnauthenticatedPerAddress, defaultMaxUnauthenticatedPerAddress)
	c.Drain = cmp.Or(c.Drain, defaultDrain)
	c.ForwardedSource = cmp.Or(c.ForwardedSource, wsauth.XForwardedFor)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}
