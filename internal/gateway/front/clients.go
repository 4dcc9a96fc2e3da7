package front

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"wsauth/internal/forwarded"
	"wsauth/internal/proxyproto"
)

// clients determines the client of each request. Handlers read it from the
// request: RemoteAddr is the client's address, Host is the host that the
// client named, and forwarded.Scheme returns the scheme that it used.
// forwarded.From returns the peer of the connection.
type clients struct {
	policy forwarded.Policy
	log    *slog.Logger
	hinted atomic.Bool // whether a missing setting was logged

	mu       sync.Mutex
	refused  int // connections since the last log line
	loggedAt time.Time
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
	stored := client // so that only requests of proxies allocate it
	r = r.WithContext(forwarded.With(r.Context(), &stored))
	r.RemoteAddr, r.Host = client.Addr, client.Host
	return r
}

// hint logs once which setting is missing if an untrusted proxy seems to be in
// front. Without the setting, all its clients have the proxy's address.
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
	c.log.Warn("an untrusted peer names clients that it forwards; if it is a proxy of yours, add it to trusted_proxies: until then all of its clients share its address and its limits",
		"peer", r.RemoteAddr, "header", field)
}

// hintSource logs once that a trusted proxy names its clients in a header other
// than the one that is read. All of them then have the proxy's address.
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
	c.log.Warn("a trusted proxy names its clients in another header than forwarded_source says: until one of the two changes, all of its clients share its address and its limits",
		"peer", r.RemoteAddr, "read", read, "not_read", other)
}

// rules returns the rules of the PROXY protocol, or nil if it is not in use.
// timeout is how long its header may take; 0 means the default.
func (c *clients) rules(timeout time.Duration) *proxyproto.Rules {
	if c.policy.Source != forwarded.ProxyProtocol {
		return nil
	}
	return &proxyproto.Rules{Trusted: c.policy.Trusted.ContainsAddr, Refused: c.refuse, Timeout: timeout}
}

// refuse counts a refused connection, and logs the count at most every ten
// seconds.
func (c *clients) refuse(peer net.Addr, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused++
	if now := time.Now(); c.loggedAt.IsZero() || now.Sub(c.loggedAt) >= 10*time.Second {
		c.log.Warn("closed connections that did not begin with a PROXY header of a trusted proxy, which forwarded_source requires",
			"peer", peer.String(), "error", err, "connections", c.refused)
		c.refused, c.loggedAt = 0, now
	}
}

// SocketContext returns a new context for a handshake. It keeps only the client
// and the value of [http.ServerContextKey], which tells handlers that a server
// recovers from their panics. An open socket keeps its context, and that of
// net/http takes half a kilobyte. Like the socket, the new context does not end
// with the request.
func SocketContext(ctx context.Context) context.Context {
	short := context.WithValue(context.Background(), http.ServerContextKey, ctx.Value(http.ServerContextKey))
	if c := forwarded.From(ctx); c != nil {
		short = forwarded.With(short, c)
	}
	return short
}
