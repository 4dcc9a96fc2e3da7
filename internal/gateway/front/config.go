package front

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"time"

	"wsauth/internal/connlimit"
	"wsauth/internal/eventloop"
	"wsauth/internal/forwarded"
	"wsauth/internal/gateway/fault"
)

// Config configures a [Server]. All fields up to Drain are optional, and all
// others are required.
type Config struct {
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
	// this machine, or "unix" for the clients of a Unix socket. If another peer
	// sends fields that name a client, they are dropped. The client's address
	// is used in logs, limits, sessions, origins and requests to upstreams; it
	// grants nothing. Trusted proxies may open any number of connections; see
	// MaxConnectionsPerAddress. Default: none.
	TrustedProxies []string

	// ForwardedSource is where trusted proxies name their clients. Other
	// headers are dropped, since a proxy may pass on what its client sent. With
	// [forwarded.ProxyProtocol], each connection to [Server.Serve] must begin
	// with a header of the PROXY protocol, version 1 or 2, from a trusted
	// proxy. Default: [forwarded.XForwardedFor].
	ForwardedSource forwarded.Source

	// ForwardedScheme is the scheme of every request from a trusted proxy,
	// "http" or "https". It is for a proxy that terminates TLS without
	// reporting it, and overrides what the proxy reports. Default: the scheme
	// that the proxy reports, or that of the connection.
	ForwardedScheme string

	// ForwardedHost takes the host from X-Forwarded-Host, or from the host
	// parameter of Forwarded, instead of from Host. The host chooses the
	// route: set ForwardedHost only if the proxy overwrites the header that its
	// clients send.
	ForwardedHost bool

	// ForwardedPort takes the port of the host from X-Forwarded-Port, for a
	// proxy that omits it from Host.
	ForwardedPort bool

	// Certificate returns the certificate for TLS, like
	// [tls.Config.GetCertificate]. With it, [Server.Serve] uses TLS 1.2 or
	// later, with HTTP/2 or HTTP/1.1 for plain requests and HTTP/1.1 for
	// sockets. Default: no TLS.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

	// Drain is how long [Server.Serve] takes to stop, at most. Sockets end one
	// after another during at most half of it. From a second to [MaxDrain].
	// Default: [DefaultDrain].
	Drain time.Duration

	// Serve serves a request that net/http has read. place is that of its
	// connection; see [Server.Admit].
	Serve func(w http.ResponseWriter, r *http.Request, place *connlimit.Place)

	// Handshake serves a WebSocket handshake that is the first request of its
	// connection. An event loop calls it, so it must not block: it serves the
	// handshake in a goroutine, or calls [Handshake.SetOnLoop] first.
	Handshake func(h *Handshake, r *http.Request)

	// Shutdown ends all sockets and waits until they are closed or ctx is
	// done.
	Shutdown func(ctx context.Context) error

	// Events accepts the connections.
	Events *eventloop.Group

	// MaxHead is the maximum length of a request's head, in bytes. Longer ones
	// are refused by net/http.
	MaxHead int

	Logger   *slog.Logger
	ErrorLog *log.Logger // of net/http
}

// Values of [Config.Drain].
const (
	MaxDrain     = time.Hour
	DefaultDrain = 10 * time.Second
)

// Check returns c with its defaults set, and what is wrong with its optional
// fields.
func (c Config) Check() (Config, fault.List) {
	c.Drain = cmp.Or(c.Drain, DefaultDrain)
	c.ForwardedSource = cmp.Or(c.ForwardedSource, forwarded.XForwardedFor)
	var wrong fault.List
	if c.MaxConnections < 0 {
		wrong.Add("MaxConnections", "must not be negative")
	}
	if c.MaxConnectionsPerAddress < 0 {
		wrong.Add("MaxConnectionsPerAddress", "must not be negative")
	}
	c.checkProxies(&wrong)
	if c.Drain < time.Second || c.Drain > MaxDrain {
		wrong.Add("Drain", "must be from %s to %s", time.Second, MaxDrain)
	}
	return c, wrong
}

// checkProxies checks the fields that concern proxies.
func (c *Config) checkProxies(wrong *fault.List) {
	for i, entry := range c.TrustedProxies {
		if _, err := forwarded.ParseNetwork(entry); err != nil {
			wrong.Add(fmt.Sprintf("TrustedProxies[%d]", i), "%w", err)
		}
	}
	if !c.ForwardedSource.Valid() {
		wrong.Add("ForwardedSource", "%q is not x-forwarded-for, forwarded or proxy_protocol", string(c.ForwardedSource))
	}
	if c.ForwardedScheme != "" && !forwarded.IsScheme(c.ForwardedScheme) {
		wrong.Add("ForwardedScheme", "%q is neither http nor https", c.ForwardedScheme)
	}
	if c.ForwardedHost && c.ForwardedSource == forwarded.ProxyProtocol {
		wrong.Add("ForwardedHost", "a PROXY header names no host")
	}
	switch {
	case !c.ForwardedPort:
	case c.ForwardedSource == forwarded.ProxyProtocol:
		wrong.Add("ForwardedPort", "a proxy that sends a PROXY header does not change the Host field and its port")
	case c.ForwardedSource == forwarded.Forwarded:
		wrong.Add("ForwardedPort", "the Forwarded field has the port in its host; set ForwardedHost")
	}
}

// Warnings returns the settings for proxies that trust too many peers or have
// no effect. The server accepts them.
func (c *Config) Warnings() fault.List {
	var all fault.List
	trusted, _ := forwarded.ParseNetworks(c.TrustedProxies)
	for i, entry := range c.TrustedProxies {
		if n, err := forwarded.ParseNetwork(entry); err == nil && len(n.Wide()) > 0 {
			all.Add(fmt.Sprintf("TrustedProxies[%d]", i), "%s contains more than your proxies: everyone who connects from there can choose the address that logs and limits use", entry)
		}
	}
	if !trusted.IsEmpty() {
		return all
	}
	if c.ForwardedSource == forwarded.ProxyProtocol {
		all.Add("ForwardedSource", "without trusted proxies every connection is closed, since no peer may send a PROXY header")
	}
	if c.ForwardedSource == forwarded.Forwarded {
		all.Add("ForwardedSource", "without trusted proxies it is not read")
	}
	if c.ForwardedScheme != "" {
		all.Add("ForwardedScheme", "without trusted proxies it has no effect")
	}
	if c.ForwardedHost {
		all.Add("ForwardedHost", "without trusted proxies it has no effect")
	}
	if c.ForwardedPort {
		all.Add("ForwardedPort", "without trusted proxies it has no effect")
	}
	return all
}

// policy returns the policy for trusted proxies.
func (c *Config) policy() forwarded.Policy {
	trusted, _ := forwarded.ParseNetworks(c.TrustedProxies) // Check has parsed them
	return forwarded.Policy{Trusted: trusted, Source: c.ForwardedSource, Scheme: c.ForwardedScheme, Host: c.ForwardedHost, Port: c.ForwardedPort}
}
