package forwarded

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// A Source says how trusted peers name the client. Other sources are ignored,
// because a client may have set them and proxies pass them on.
type Source string

// The sources.
const (
	XForwardedFor Source = "x-forwarded-for" // with X-Forwarded-Proto, -Host and -Port
	Forwarded     Source = "forwarded"       // RFC 7239
	ProxyProtocol Source = "proxy_protocol"  // before the first byte of the connection
)

// Valid reports whether s is a known source.
func (s Source) Valid() bool { return s == XForwardedFor || s == Forwarded || s == ProxyProtocol }

// A Client describes where a request comes from.
type Client struct {
	Peer string // other end of the connection, as in http.Request
	// Addr is the address of the client. The port is 0 if it is unknown.
	Addr   string
	Scheme string // "http" or "https", as used by the client
	// Host is the host used by the client, with a port unless that is the
	// default of the scheme.
	Host string
}

// A Policy determines which peers to trust, and with what.
type Policy struct {
	Trusted Networks
	Source  Source // source of the client's address
	// Scheme is "http" or "https" if all forwarded requests use it, or "" to
	// use the scheme that trusted peers name.
	Scheme string
	Host   bool // use the host that trusted peers name
	Port   bool // use the port that trusted peers name
}

// IsScheme reports whether text is a valid scheme for a [Policy].
func IsScheme(text string) bool { return text == "http" || text == "https" }

// Client returns where r comes from. proxied reports whether the result comes
// from a trusted peer rather than from the connection. For [ProxyProtocol] it
// is always false, because the listener has already replaced the address.
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

// Of is like Client, for a request whose client may already be in its context;
// see Remember.
func (p *Policy) Of(r *http.Request) Client {
	if c := From(r.Context()); c != nil {
		return *c
	}
	c, _ := p.Client(r)
	return c
}

// Remember returns r with its client in its context, where [From] finds it. It
// returns r itself if no trusted peer forwarded r.
func (p *Policy) Remember(r *http.Request) *http.Request {
	if From(r.Context()) != nil {
		return r
	}
	c, proxied := p.Client(r)
	if !proxied {
		return r
	}
	stored := c // so that only requests of proxies allocate one
	return r.WithContext(With(r.Context(), &stored))
}

// Identify returns r as its client sent it: RemoteAddr and Host are those of
// the client, and [From] finds the rest in its context. It returns r itself if
// no trusted peer forwarded r.
func (p *Policy) Identify(r *http.Request) *http.Request {
	c := From(r.Context())
	if c == nil {
		client, proxied := p.Client(r)
		if !proxied {
			return r
		}
		stored := client // so that only requests of proxies allocate one
		c = &stored
	}
	if r.RemoteAddr == c.Addr && r.Host == c.Host {
		return r
	}
	r = r.WithContext(With(r.Context(), c))
	r.RemoteAddr, r.Host = c.Addr, c.Host
	return r
}

// direct returns the client of a request that was not forwarded.
func direct(r *http.Request) Client {
	c := Client{Peer: r.RemoteAddr, Addr: r.RemoteAddr, Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		c.Scheme = "https"
	}
	return c
}

// readXForwarded reads X-Forwarded-For and related fields.
func (p *Policy) readXForwarded(c *Client, h http.Header) {
	lines := h["X-Forwarded-For"]
	members := list{lines: lines, left: maxMembers}
	last := 0 // index of the last member read, from the right
	for i := 0; ; i++ {
		member, ok := members.previous()
		if !ok {
			break
		}
		last = i
		if !p.applyNode(c, member) {
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

// readForwarded reads the Forwarded field.
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
		if !p.applyNode(c, e.node) {
			return
		}
	}
}

// applyNode makes node the address of the client, if it is valid. It reports
// whether node is trusted, so that the preceding member applies as well.
func (p *Policy) applyNode(c *Client, node string) bool {
	addr, ok := parseNode(node)
	if ok {
		c.Addr = addr.String()
	}
	return ok && p.Trusted.Contains(addr.Addr())
}

// setScheme sets the scheme. For WebSocket handshakes, some proxies send ws or
// wss.
func (c *Client) setScheme(proto string) {
	switch strings.ToLower(proto) {
	case "http", "ws":
		c.Scheme = "http"
	case "https", "wss":
		c.Scheme = "https"
	}
}

// setHost sets the host, with or without a port.
func (c *Client) setHost(host string) {
	if isHost(host) {
		c.Host = host
	}
}

// setPort sets the port that the client used. It is omitted if it is the
// default of the scheme.
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

// isHost reports whether text is a host name or address, with or without a
// port.
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

// With returns a context that contains the client of its request.
func With(ctx context.Context, c *Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// From returns the client in a context, or nil.
func From(ctx context.Context) *Client {
	c, _ := ctx.Value(clientKey{}).(*Client)
	return c
}

// Scheme returns the scheme that the client of r used.
func Scheme(r *http.Request) string {
	if c := From(r.Context()); c != nil {
		return c.Scheme
	}
	return direct(r).Scheme
}
