package forwarded

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// A Source is where trusted peers say who the client is. What they say in any
// other place is not read: proxies pass on what a client has sent there.
type Source string

// The sources.
const (
	XForwardedFor Source = "x-forwarded-for" // with X-Forwarded-Proto, -Host and -Port
	Forwarded     Source = "forwarded"       // RFC 7239
	ProxyProtocol Source = "proxy_protocol"  // before the first byte of the connection
)

// Valid reports whether s is one of the sources.
func (s Source) Valid() bool { return s == XForwardedFor || s == Forwarded || s == ProxyProtocol }

// A Client is where a request comes from.
type Client struct {
	Peer   string // the other end of the connection, as http.Request.RemoteAddr
	Addr   string // the client, likewise; the port is 0 if it is not known
	Scheme string // "http" or "https", as the client used it
	Host   string // likewise, with the port if it is not the scheme's own
}

// A Policy says whom to believe, and what.
type Policy struct {
	Trusted Networks
	Source  Source // of trusted peers
	Scheme  string // "http" or "https" for all that they pass on; "": as they say
	Host    bool   // the host that they say counts
	Port    bool   // likewise the port
}

// IsScheme reports whether text is a scheme that a [Policy] may have.
func IsScheme(text string) bool { return text == "http" || text == "https" }

// Client returns where r comes from. proxied reports whether that is what a
// trusted peer says: otherwise it is what the connection itself says. For
// [ProxyProtocol] that is always so: its listener has changed the address
// already.
func (p *Policy) Client(r *http.Request) (c Client, proxied bool) {
	c = direct(r)
	if p.Source == ProxyProtocol || !p.Trusted.containsPeer(r) {
		return c, false
	}
	if p.Scheme != "" {
		c.Scheme = p.Scheme
	}
	if p.Source == Forwarded {
		p.readForwarded(&c, r.Header["Forwarded"])
	} else {
		p.readXForwarded(&c, r.Header)
	}
	return c, true
}

// direct returns the client of a request that no proxy has passed on.
func direct(r *http.Request) Client {
	c := Client{Peer: r.RemoteAddr, Addr: r.RemoteAddr, Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		c.Scheme = "https"
	}
	return c
}

// readXForwarded reads what a trusted peer says in X-Forwarded-For and its
// kin.
func (p *Policy) readXForwarded(c *Client, h http.Header) {
	lines := h["X-Forwarded-For"]
	members := list{lines: lines, left: maxMembers}
	last := 0 // the member that was read last, from the right
	for i := 0; ; i++ {
		member, ok := members.previous()
		if !ok {
			break
		}
		last = i
		if !p.believe(c, member) {
			break
		}
	}
	if proto, ok := single(h["X-Forwarded-Proto"], last, lines); ok && p.Scheme == "" {
		c.setScheme(proto)
	}
	if host, ok := single(h["X-Forwarded-Host"], last, lines); ok && p.Host {
		c.setHost(host)
	}
	if port, ok := single(h["X-Forwarded-Port"], last, lines); ok && p.Port {
		c.setPort(port)
	}
}

// readForwarded reads what a trusted peer says in the Forwarded field.
func (p *Policy) readForwarded(c *Client, lines []string) {
	members := list{lines: lines, left: maxMembers, quote: true}
	for {
		member, ok := members.previous()
		if !ok {
			return
		}
		e, ok := parseElement(member)
		if !ok {
			return
		}
		if p.Scheme == "" {
			c.setScheme(e.proto)
		}
		if p.Host {
			c.setHost(e.host)
		}
		if !p.believe(c, e.node) {
			return
		}
	}
}

// believe takes node for the client, if it is an address. It reports whether
// what that node says counts as well, because it is trusted.
func (p *Policy) believe(c *Client, node string) bool {
	addr, ok := parseNode(node)
	if ok {
		c.Addr = addr.String()
	}
	return ok && p.Trusted.Contains(addr.Addr())
}

// setScheme takes a scheme as proxies write it: of a WebSocket handshake, some
// write that of its URL.
func (c *Client) setScheme(proto string) {
	switch strings.ToLower(proto) {
	case "http", "ws":
		c.Scheme = "http"
	case "https", "wss":
		c.Scheme = "https"
	}
}

// setHost takes a host, with or without a port.
func (c *Client) setHost(host string) {
	if isHost(host) {
		c.Host = host
	}
}

// setPort takes the port that the client has used, which is left out where it
// is the scheme's own.
func (c *Client) setPort(text string) {
	port, ok := parsePort(text)
	if !ok || port == 0 {
		return
	}
	name := c.Host
	if h, _, err := net.SplitHostPort(name); err == nil {
		name = h
	} else {
		name = strings.Trim(name, "[]")
	}
	if port == 80 && c.Scheme == "http" || port == 443 && c.Scheme == "https" {
		if strings.Contains(name, ":") {
			name = "[" + name + "]"
		}
		c.Host = name
		return
	}
	c.Host = net.JoinHostPort(name, text)
}

// isHost reports whether text is a name or an address, with or without a port.
func isHost(text string) bool {
	if len(text) > 255 {
		return false
	}
	name, port := text, ""
	if i := strings.LastIndexByte(text, ':'); i >= 0 && strings.IndexByte(text[i:], ']') < 0 {
		name, port = text[:i], text[i+1:]
		if n, ok := parsePort(port); !ok || n == 0 {
			return false
		}
	}
	if address, ok := strings.CutPrefix(name, "["); ok {
		address, ok = strings.CutSuffix(address, "]")
		addr, err := netip.ParseAddr(address)
		return ok && err == nil && addr.Is6() && addr.Zone() == ""
	}
	for _, c := range []byte(name) {
		if !isAlphanumeric(c) && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return name != ""
}

type clientKey struct{}

// With returns a context that knows the client of its request.
func With(ctx context.Context, c *Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// From returns the client that With has put into a context; nil if none.
func From(ctx context.Context) *Client {
	c, _ := ctx.Value(clientKey{}).(*Client)
	return c
}

// Scheme returns the scheme that the client of a request has used.
func Scheme(r *http.Request) string {
	if c := From(r.Context()); c != nil {
		return c.Scheme
	}
	return direct(r).Scheme
}
