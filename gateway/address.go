package gateway

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// serverOf returns one name for all spellings of an upstream's address. Every
// name of this machine counts as one: its servers mostly listen on several.
func serverOf(address string) string {
	if socket, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix:" + socketFile(socket)
	}
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	host := plainName(u.Hostname())
	if isThisMachine(host) {
		host = "localhost"
	}
	return net.JoinHostPort(host, portOf(u))
}

// Reaches reports whether an entry of [Route.Upstreams] is what listens on
// listen, which is HOST:PORT or the path of a Unix socket: in whatever
// spelling, and where it listens on all addresses, by any name of this
// machine.
func Reaches(upstream, listen string) bool {
	if socket, ok := strings.CutPrefix(upstream, "unix:"); ok {
		return socketFile(socket) == socketFile(listen)
	}
	u, err := url.Parse(upstream)
	if err != nil {
		return false
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n == 0 || strconv.Itoa(n) != portOf(u) {
		return false
	}
	own, asked := plainName(host), plainName(u.Hostname())
	switch {
	case own == asked:
		return true
	case !isThisMachine(asked):
		return false
	case isUnspecified(own):
		return true
	}
	// localhost is either loopback address, and dialling no address in
	// particular reaches them.
	wide := func(name string) bool { return isUnspecified(name) || isLocalhost(name) }
	return isThisMachine(own) && (wide(own) || wide(asked))
}

// socketFile returns one spelling of the path of a Unix socket, which need not
// be there yet: /var/run is a link to /run on most machines.
func socketFile(path string) string {
	if whole, err := filepath.EvalSymlinks(path); err == nil {
		return whole
	}
	if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(folder, filepath.Base(path))
	}
	return filepath.Clean(path)
}

// plainName returns one spelling of a host: in small letters, without the dot
// of a full name, and of an address the usual one.
func plainName(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return host
}

// isThisMachine reports whether a name, as plainName returns it, is one of
// this machine's own for everybody.
func isThisMachine(name string) bool {
	ip, err := netip.ParseAddr(name)
	return isLocalhost(name) || isUnspecified(name) || err == nil && ip.IsLoopback()
}

func isLocalhost(name string) bool {
	return name == "localhost" || strings.HasSuffix(name, ".localhost") // RFC 6761 section 6.3
}

func isUnspecified(name string) bool {
	ip, err := netip.ParseAddr(name)
	return name == "" || err == nil && ip.IsUnspecified()
}

// portOf returns the port of a URL, without zeros in front.
func portOf(u *url.URL) string {
	port := u.Port()
	if n, err := strconv.Atoi(port); err == nil {
		return strconv.Itoa(n)
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// checkURLPort reports that the port of a URL is none.
func checkURLPort(u *url.URL) error {
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("port %s is not from 1 to 65535", port)
		}
	}
	return nil
}

// checkASCII reports that a host is not written as DNS and HTTP have it.
func checkASCII(host string) error {
	if !strings.ContainsFunc(host, func(r rune) bool { return r > unicode.MaxASCII }) {
		return nil
	}
	name, ofAll := strings.CutPrefix(host, "*.")
	ascii, err := idna.Lookup.ToASCII(name)
	if err != nil {
		return fmt.Errorf("%q is not ASCII, and not a host name", host)
	}
	if ofAll {
		ascii = "*." + ascii
	}
	return fmt.Errorf("%q is not ASCII: clients send the host as %s", host, ascii)
}
