package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"wsauth"
	"wsauth/internal/forwarded"
	"wsauth/internal/proxyproto"
	"wsauth/internal/ratelimit"
)

// clients determines the client of each request. All handlers but the API for
// operators read it from the request: RemoteAddr is the client's address, Host
// is the host that the client named, and forwarded.Scheme tells whether the
// client used TLS. forwarded.From returns the peer of the connection.
type clients struct {
	policy forwarded.Policy
	log    *slog.Logger
	hinted atomic.Bool // whether a missing setting was logged

	within time.Duration // the timeout for a PROXY header; for tests

	mu      sync.Mutex
	refused int // connections since the last log line
	told    time.Time
}

// newClients returns the clients for a configuration that was checked.
func newClients(c Config) *clients {
	trusted, _ := forwarded.ParseNetworks(c.TrustedProxies) // checked
	policy := forwarded.Policy{
		Trusted: trusted, Source: forwarded.Source(c.ForwardedSource),
		Scheme: c.ForwardedScheme, Host: c.ForwardedHost, Port: c.ForwardedPort,
	}
	return &clients{policy: policy, log: c.Logger}
}

// identify returns r as the client sent it to the first trusted proxy. header
// is the PROXY header of its connection, or nil.
func (c *clients) identify(r *http.Request, header *proxyproto.Header) *http.Request {
	client, proxied := c.policy.Client(r)
	if c.policy.Source == forwarded.ProxyProtocol && header != nil {
		client.Peer, proxied = header.Peer.String(), true
		switch { // even if the client has no address, as on a Unix socket
		case c.policy.Scheme != "":
			client.Scheme = c.policy.Scheme
		case header.TLS:
			client.Scheme = "https"
		}
	}
	if !proxied {
		c.hint(r)
		return r
	}
	if client.Addr == client.Peer {
		c.hintSource(r)
	}
	said := client // so that only requests of proxies allocate it
	r = r.WithContext(forwarded.With(r.Context(), &said))
	r.RemoteAddr, r.Host = client.Addr, client.Host
	return r
}

// hint logs once which setting is missing if an untrusted proxy seems to be in
// front. All its clients then have the proxy's address.
func (c *clients) hint(r *http.Request) {
	if c.hinted.Load() || c.policy.Source == forwarded.ProxyProtocol {
		return
	}
	field := ""
	for _, name := range [...]string{"X-Forwarded-For", "Forwarded"} {
		if len(r.Header[name]) > 0 {
			field = name
		}
	}
	if field == "" {
		return
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err == nil && !forwarded.IsPrivate(peer.Addr()) || c.hinted.Swap(true) {
		return
	}
	c.log.Warn("a peer that is not trusted says whom it forwards; if it is a proxy of yours, name it in trusted_proxies: until then all of its clients share its address and its limits",
		"peer", r.RemoteAddr, "header", field)
}

// hintSource logs once that a trusted proxy names its clients in another
// header than the one that is read. All of them then have the proxy's address.
func (c *clients) hintSource(r *http.Request) {
	read, other := "X-Forwarded-For", "Forwarded"
	switch c.policy.Source {
	case forwarded.ProxyProtocol:
		return
	case forwarded.Forwarded:
		read, other = other, read
	}
	if len(r.Header[read]) > 0 || len(r.Header[other]) == 0 || c.hinted.Swap(true) {
		return
	}
	c.log.Warn("a trusted proxy does not name its clients in the header that forwarded_source asks for, but another is there: until one of the two changes, all of its clients share its address and its limits",
		"peer", r.RemoteAddr, "read", read, "not_read", other)
}

// How long a connection may wait for its next request. A proxy must time out
// before the gateway: otherwise it sends a request on a connection that is
// being closed. It may repeat that request only if it is safe; for others its
// client gets 502. By default, AWS ALB times out after a minute, and Google's
// load balancers after ten. An idle connection is evicted if others need its
// place; see connlimit.
const (
	idleTimeout        = time.Minute
	idleTimeoutProxies = 11 * time.Minute
)

// idle returns the idle timeout of connections.
func (c *clients) idle() time.Duration {
	if c.policy.Trusted.IsEmpty() {
		return idleTimeout
	}
	return idleTimeoutProxies
}

// networkBehindProxy returns the client's network, to which a proxy's
// connection is charged while it carries r. It returns the zero Prefix if
// there is no proxy, or if the connection carries several requests at once.
func networkBehindProxy(r *http.Request) netip.Prefix {
	if c := forwarded.From(r.Context()); c != nil && c.Addr != c.Peer && r.ProtoMajor == 1 {
		return ratelimit.PrefixOf(c.Addr)
	}
	return netip.Prefix{}
}

// networkOfStream returns the network to which a request is charged that
// shares its connection with others, or the zero Prefix for a request of the
// proxy itself.
func networkOfStream(r *http.Request) netip.Prefix {
	if c := forwarded.From(r.Context()); c != nil && c.Addr == c.Peer {
		return netip.Prefix{}
	}
	return ratelimit.PrefixOf(r.RemoteAddr)
}

// rules returns the rules of the PROXY protocol, or nil if it is not in use.
func (c *clients) rules() *proxyproto.Rules {
	if c.policy.Source != forwarded.ProxyProtocol {
		return nil
	}
	return &proxyproto.Rules{Trusted: c.policy.Trusted.ContainsAddr, Refused: c.refuse, Timeout: c.within}
}

// refuse counts a refused connection, and logs the count at most every ten
// seconds.
func (c *clients) refuse(peer net.Addr, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused++
	if now := time.Now(); c.told.IsZero() || now.Sub(c.told) >= 10*time.Second {
		c.log.Warn("closed connections that do not begin with a PROXY header of a trusted proxy, which forwarded_source asks for",
			"peer", peer.String(), "error", err, "connections", c.refused)
		c.refused, c.told = 0, now
	}
}

// listen wraps l in the limits and the PROXY protocol, for net/http.
func (g *Gateway) listen(l net.Listener) net.Listener {
	l = g.connections.Listener(l)
	if rules := g.clients.rules(); rules != nil {
		return proxyproto.Listen(l, *rules)
	}
	return l
}

type proxyHeaderKey struct{}

// headerOf returns the PROXY header of a request's connection, or nil.
func headerOf(ctx context.Context) *proxyproto.Header {
	h, _ := ctx.Value(proxyHeaderKey{}).(*proxyproto.Header)
	return h
}

// checkProxies checks the fields that concern proxies.
func (c Config) checkProxies(to *faults) {
	for i, entry := range c.TrustedProxies {
		if _, err := forwarded.ParseNetwork(entry); err != nil {
			to.add(fmt.Sprintf("TrustedProxies[%d]", i), "%w", err)
		}
	}
	if !forwarded.Source(c.ForwardedSource).Valid() {
		to.add("ForwardedSource", "%q is not x-forwarded-for, forwarded or proxy_protocol", string(c.ForwardedSource))
	}
	if c.ForwardedScheme != "" && !forwarded.IsScheme(c.ForwardedScheme) {
		to.add("ForwardedScheme", "%q is neither http nor https", c.ForwardedScheme)
	}
	if c.ForwardedHost && c.ForwardedSource == wsauth.ProxyProtocol {
		to.add("ForwardedHost", "a PROXY header names no host")
	}
	switch {
	case !c.ForwardedPort:
	case c.ForwardedSource == wsauth.ProxyProtocol:
		to.add("ForwardedPort", "a proxy that sends a PROXY header leaves the Host field with its port as it is")
	case c.ForwardedSource == wsauth.Forwarded:
		to.add("ForwardedPort", "the Forwarded field has the port in its host; set ForwardedHost")
	}
}

// warnOfProxies warns of settings for proxies that trust strangers, or have no
// effect.
func (c Config) warnOfProxies(to *faults) {
	trusted, _ := forwarded.ParseNetworks(c.TrustedProxies)
	for i, entry := range c.TrustedProxies {
		if n, err := forwarded.ParseNetwork(entry); err == nil && len(n.Wide()) > 0 {
			to.add(fmt.Sprintf("TrustedProxies[%d]", i), "%s is much more than your proxies: everybody who connects from there chooses the address by which logs and limits know them", entry)
		}
	}
	if !trusted.IsEmpty() {
		return
	}
	if c.ForwardedSource == wsauth.ProxyProtocol {
		to.add("ForwardedSource", "without trusted proxies every connection is closed, since nobody may send a PROXY header")
	}
	if c.ForwardedSource == wsauth.Forwarded {
		to.add("ForwardedSource", "without trusted proxies it is not read")
	}
	if c.ForwardedScheme != "" {
		to.add("ForwardedScheme", "without trusted proxies it does nothing")
	}
	if c.ForwardedHost {
		to.add("ForwardedHost", "without trusted proxies it does nothing")
	}
	if c.ForwardedPort {
		to.add("ForwardedPort", "without trusted proxies it does nothing")
	}
}
