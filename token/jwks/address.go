package jwks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

const maxRedirects = 3

// A reach defines which addresses keys may be fetched from.
type reach struct {
	trusted      string // the configured host and port
	insecureHTTP bool   // allow http for the trusted host
	proxy        *url.URL
}

// checkURL accepts URLs whose answers cannot be changed on the way: https, or
// http on this machine. If insecureHTTP is set, it accepts http everywhere.
func checkURL(u *url.URL, insecureHTTP bool) error {
	switch {
	case u.Host == "" || u.Hostname() == "":
		return errors.New("is not a URL with a host")
	case u.User != nil || u.Fragment != "":
		return errors.New("has a user or a fragment")
	case u.Port() != "" && !isPort(u.Port()):
		return errors.New("has a port that is not from 1 to 65535")
	case u.Scheme == "https", u.Scheme == "http" && (insecureHTTP || onLoopback(u.Hostname())):
		return nil
	}
	return errors.New("must be https, or http on this machine; insecure_http allows http, which attackers on the network can change")
}

// readProxy parses the URL of the proxy. It returns nil if text is empty.
func readProxy(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("is not the URL of a proxy, such as http://proxy.internal:3128")
	case u.User != nil || u.Fragment != "" || u.RawQuery != "" || u.Path != "" && u.Path != "/":
		return nil, errors.New("has more than a scheme, a host and a port")
	case u.Port() != "" && !isPort(u.Port()):
		return nil, errors.New("has a port that is not from 1 to 65535")
	}
	return u, nil
}

// isPort reports whether s is a TCP port number.
func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// onLoopback reports whether host is this machine. It does not resolve names.
func onLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// hostPort returns the address that a transport dials for u.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// checkLed checks a URL from a redirect or a discovery document. Beyond
// checkURL, it refuses addresses that are not public, except the trusted host.
// If the host is a name, the dialer checks the address that it resolves to. A
// proxy resolves names itself, so nobody can check the address. Therefore only
// the trusted host is reached through a proxy.
func (of reach) checkLed(u *url.URL) error {
	isTrusted := hostPort(u) == of.trusted
	if err := checkURL(u, of.insecureHTTP && isTrusted); err != nil {
		return err
	}
	if isTrusted {
		return nil
	}
	addr, err := netip.ParseAddr(u.Hostname())
	switch {
	case u.Hostname() == "localhost" || err == nil && !public(addr):
		return errors.New("leads to an address that is not public")
	case of.proxy != nil:
		return errors.New("leads to another host, which is not reached through a proxy: name the URL of the keys")
	}
	return nil
}

// checkRedirect is the CheckRedirect of the http.Client.
func (of reach) checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	return of.checkLed(r.URL)
}

// throughProxy is the Proxy of the http.Transport. It ignores the environment:
// a variable must not decide who provides the keys. Loopback hosts are dialed
// directly, because they mean this machine, not the proxy.
func (of reach) throughProxy(r *http.Request) (*url.URL, error) {
	if onLoopback(r.URL.Hostname()) {
		return nil, nil
	}
	return of.proxy, nil
}

// transport returns a transport that dials the trusted host and the proxy at
// any address, and other hosts only at public addresses. It checks the address
// that is dialed, so a name that resolves differently each time cannot bypass
// the check.
func (of reach) transport(timeout time.Duration) *http.Transport {
	free := &net.Dialer{Timeout: timeout}
	bound := &net.Dialer{Timeout: timeout, Control: func(_, address string, _ syscall.RawConn) error {
		addr, err := netip.ParseAddrPort(address)
		if err != nil || !public(addr.Addr()) {
			return errors.New("leads to an address that is not public")
		}
		return nil
	}}
	return &http.Transport{
		Proxy: of.throughProxy,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == of.trusted || of.proxy != nil && address == hostPort(of.proxy) {
				return free.DialContext(ctx, network, address)
			}
			return bound.DialContext(ctx, network, address)
		},
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true, // there is one fetch in 15 minutes
		TLSHandshakeTimeout:    timeout,
		ResponseHeaderTimeout:  timeout,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// notPublic lists the special-purpose addresses of IANA's registries that the
// methods of netip.Addr do not cover, and those that embed an IPv4 address.
var notPublic = func() (prefixes []netip.Prefix) {
	for _, p := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	} {
		prefixes = append(prefixes, netip.MustParsePrefix(p))
	}
	return prefixes
}()

// public reports whether addr belongs to the public internet.
func public(addr netip.Addr) bool {
	addr = addr.WithZone("").Unmap()
	if !addr.IsValid() || !addr.IsGlobalUnicast() || addr.IsPrivate() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(addr) {
			return false
		}
	}
	return true
}
