package remotekeys

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

// A reach says where keys may be fetched from.
type reach struct {
	trusted      string // the host and port that were configured
	insecureHTTP bool   // http is good for the trusted host
	proxy        *url.URL
}

// checkURL wants what nobody on the way can change: https, or this machine.
// The configured URL may be less, where InsecureHTTP says so.
func checkURL(u *url.URL, insecureHTTP bool) error {
	switch {
	case u.Host == "" || u.Hostname() == "":
		return errors.New("no URL of a host")
	case u.User != nil || u.Fragment != "":
		return errors.New("has a user or a fragment")
	case u.Port() != "" && !isPort(u.Port()):
		return errors.New("has a port that is not from 1 to 65535")
	case u.Scheme == "https", u.Scheme == "http" && (insecureHTTP || onLoopback(u.Hostname())):
		return nil
	}
	return errors.New("must be https, or http on this machine; insecure_http allows http, which an attacker on the way can change")
}

// readProxy returns the proxy that was configured, nil for none.
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

// isPort reports whether s is the number of a TCP port.
func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// onLoopback reports whether host is this machine, whatever a resolver says.
func onLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// hostPort is the address that a transport dials for u.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// checkLed is for a URL that an answer has led to: as checkURL, and another
// host than the trusted one may not be an address that is not public. Where it
// is a name, the dialer looks at what it resolves to. A proxy resolves names
// where nobody can look, so through one only the trusted host is reached.
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

// checkRedirect is that of an http.Client.
func (of reach) checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	return of.checkLed(r.URL)
}

// throughProxy is the Proxy of an http.Transport. It never looks at the
// environment: a variable must not decide whom the keys come from. This
// machine is reached directly, since "localhost" of a proxy is another one.
func (of reach) throughProxy(r *http.Request) (*url.URL, error) {
	if onLoopback(r.URL.Hostname()) {
		return nil, nil
	}
	return of.proxy, nil
}

// transport dials the trusted host and the proxy wherever they are, and every
// other host only where its address is public. It looks at the address that is
// dialled, so that a name which resolves to another one the next time gains
// nothing.
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
		DisableKeepAlives:      true, // one fetch in a quarter of an hour
		TLSHandshakeTimeout:    timeout,
		ResponseHeaderTimeout:  timeout,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// notPublic are the addresses of the IANA registries of special purpose that
// the methods of netip.Addr do not know, and those that hold an IPv4 address.
var notPublic = func() (prefixes []netip.Prefix) {
	for _, p := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	} {
		prefixes = append(prefixes, netip.MustParsePrefix(p))
	}
	return prefixes
}()

// public reports whether an address is one of the public internet.
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
