// Package hostaddr checks the addresses of servers in a configuration, and
// recognizes different spellings of the same one.
package hostaddr

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"golang.org/x/net/idna"

	"wsauth/internal/httpx"
)

// Server returns the canonical form of an upstream's address. Hosts that always
// mean this machine become localhost, because a server usually listens on more
// than one of its machine's addresses.
func Server(address string) string {
	if socket, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix:" + socketFile(socket)
	}
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	host := CanonicalHost(u.Hostname())
	if IsThisMachine(host) {
		host = "localhost"
	}
	return net.JoinHostPort(host, portOf(u))
}

// Reaches reports whether upstream, which [CheckUpstream] must accept, leads to
// the server that listens on listen, a HOST:PORT or the path of a Unix socket.
// It recognizes other spellings, and all names and addresses of this machine if
// listen means all addresses.
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
	listenHost, urlHost := CanonicalHost(host), CanonicalHost(u.Hostname())
	if listenHost == urlHost {
		return true
	}
	found := addressesOf(urlHost)
	isHere := IsThisMachine(urlHost) || slices.ContainsFunc(found, isOwnAddress)
	switch {
	case !isHere:
		return false
	case isUnspecified(listenHost):
		return true
	}
	// localhost means both loopback addresses, and dialing an unspecified
	// address reaches them.
	wide := func(name string) bool { return isUnspecified(name) || isLocalhost(name) }
	if IsThisMachine(listenHost) && IsThisMachine(urlHost) && (wide(listenHost) || wide(urlHost)) {
		return true
	}
	return slices.ContainsFunc(addressesOf(listenHost), func(ip netip.Addr) bool { return slices.Contains(found, ip) })
}

// addressesOf returns the addresses of a name in the form of CanonicalHost, as
// far as this machine knows them without a DNS query.
func addressesOf(name string) []netip.Addr {
	if ip, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{ip}
	}
	if isLocalhost(name) || CheckHostName(name) != nil {
		return nil
	}
	var all []netip.Addr
	// A name that is not found has no addresses.
	found, _ := hostsFile.LookupNetIP(context.Background(), "ip", name)
	for _, ip := range found {
		all = append(all, ip.Unmap())
	}
	if own, err := os.Hostname(); err == nil && name == CanonicalHost(own) {
		all = append(all, ownAddresses()...)
	}
	return all
}

// hostsFile resolves names with the hosts file only.
var hostsFile = net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.ErrUnsupported }}

func ownAddresses() []netip.Addr {
	found, _ := net.InterfaceAddrs() // if this fails, isOwnAddress still recognizes loopback
	var all []netip.Addr
	for _, a := range found {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, prefix.Addr().Unmap().WithZone(""))
		}
	}
	return all
}

// isOwnAddress reports whether ip is an address of this machine.
func isOwnAddress(ip netip.Addr) bool {
	return ip.IsLoopback() || ip.IsUnspecified() || slices.Contains(ownAddresses(), ip.WithZone(""))
}

// socketFile returns the canonical form of a Unix socket's path. The socket
// need not exist. Symbolic links are resolved: /var/run links to /run on most
// machines.
func socketFile(path string) string {
	if whole, err := filepath.EvalSymlinks(path); err == nil {
		return whole
	}
	if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(folder, filepath.Base(path))
	}
	return filepath.Clean(path)
}

// CanonicalHost returns the canonical form of a host: in lower case, without
// the final dot of a fully qualified name, and with addresses in their usual
// notation.
func CanonicalHost(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return host
}

// IsThisMachine reports whether a name in the form of CanonicalHost always
// means the local machine: localhost, or a loopback or unspecified address.
func IsThisMachine(name string) bool {
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

// portOf returns the port of a URL without leading zeros, or the default port
// of its scheme.
func portOf(u *url.URL) string {
	port := u.Port()
	if n, err := strconv.Atoi(port); err == nil {
		return strconv.Itoa(n)
	}
	return httpx.DefaultPort(u.Scheme)
}

// maxUpstreamPath is the maximum length of a Unix socket's path on this
// system, in bytes.
const maxUpstreamPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// checkSocketPath returns an error if path cannot be the path of a Unix
// socket.
func checkSocketPath(path string) error {
	switch {
	case !filepath.IsAbs(path) || strings.ContainsRune(path, 0):
		return errors.New("unix: needs the absolute path of a socket, as in unix:/run/app.sock")
	case strings.HasSuffix(path, "/"):
		return errors.New("unix: needs the path of a socket, and a path that ends with a slash is that of a folder")
	case len(path) > maxUpstreamPath:
		return fmt.Errorf("the path of a Unix socket has at most %d bytes", maxUpstreamPath)
	}
	return nil
}

// CheckUpstream returns an error if s is not the address of an upstream:
// http://host:port, https://host:port or unix:/path/of/socket.
func CheckUpstream(s string) error {
	if socket, ok := strings.CutPrefix(s, "unix:"); ok {
		if err := checkSocketPath(socket); err != nil {
			return fmt.Errorf("%q: %w", s, err)
		}
		return nil
	}
	if strings.Contains(s, "@") { // may hold a password, so s must not be shown
		return errors.New("an upstream has no user and no password")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Hostname() == "", u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%q is not one of http://host:port, https://host:port and unix:/path/of/socket", s)
	case CheckHostName(u.Hostname()) != nil:
		return CheckHostName(u.Hostname())
	case CheckPort(u) != nil:
		return fmt.Errorf("%q: %w", s, CheckPort(u))
	case strings.ContainsAny(s, "?#"): // may be secret as well
		return errors.New("an upstream has no query and no fragment; it gets those that the client sent")
	case u.Path != "" && u.Path != "/":
		return fmt.Errorf("%q: an upstream is scheme, host and port only; it gets the path and the query that the client sent", s)
	}
	return nil
}

// CheckListen returns an error if address is not a HOST:PORT to listen on.
func CheckListen(address string) error {
	wrong := errors.New("it must be HOST:PORT, such as 127.0.0.1:8000")
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" || strings.HasPrefix(port, "+") {
		return wrong
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return wrong
	}
	if ip, err := netip.ParseAddr(host); strings.HasPrefix(address, "[") && (err != nil || !ip.Is6()) {
		return fmt.Errorf("%q: brackets are for IPv6 addresses, as in [::1]:8000", address)
	}
	if host == "" {
		return nil
	}
	return CheckHostName(host)
}

// Collide reports whether a and b, each a HOST:PORT, cannot be listened on at
// the same time. Names are not resolved.
func Collide(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil {
		return false
	}
	n, errA := net.LookupPort("tcp", portA)
	m, errB := net.LookupPort("tcp", portB)
	if errA != nil || errB != nil || n != m || n == 0 {
		return false
	}
	one, other := CanonicalHost(hostA), CanonicalHost(hostB)
	return one == other || covers(one, other) || covers(other, one)
}

// covers reports whether a listener on the host one also accepts connections
// to the host other: one is unspecified and other one of its addresses, or one
// is localhost and other 127.0.0.1.
func covers(one, other string) bool {
	ip, err := netip.ParseAddr(other)
	switch one {
	case "", "::":
		return true
	case "0.0.0.0":
		return err == nil && ip.Is4() || isLocalhost(other)
	case "localhost":
		return other == "127.0.0.1"
	}
	return false
}

// The maximum lengths of a DNS name and of its labels, in bytes (RFC 1035
// section 2.3.4).
const (
	maxHostName = 253
	MaxLabel    = 63
)

// CheckHostName returns an error if host, which has no brackets and no port,
// is neither an address nor a host name. Underscores are allowed, since names
// of containers have them. A name whose last label is a number is refused,
// because some resolvers read 127.1 or 0x7f000001 as an address.
func CheckHostName(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if err := checkASCII(host); err != nil {
		return err
	}
	name := strings.TrimSuffix(host, ".")
	if strings.Contains(name, ":") || len(name) > maxHostName || !httpx.IsHost(name) {
		return fmt.Errorf("%q is not the name of a host", host)
	}
	labels := strings.Split(name, ".")
	if slices.ContainsFunc(labels, func(label string) bool { return len(label) > MaxLabel }) {
		return fmt.Errorf("%q is not the name of a host: between its dots are at most %d bytes", host, MaxLabel)
	}
	if isNumber(labels[len(labels)-1]) {
		return fmt.Errorf("%q is not an address: write the four numbers, as in 127.0.0.1", host)
	}
	return nil
}

// CheckPattern returns an error if host is not a valid pattern: empty, or an
// address, a host name or "*." and a host name, in lower case and without a
// port.
func CheckPattern(host string) error {
	name := strings.TrimPrefix(host, "*.")
	if err := checkASCII(host); err != nil {
		return err
	}
	switch {
	case host == "":
		return nil
	case name == "" || name != strings.ToLower(name) || strings.HasPrefix(name, ".") || strings.HasSuffix(name, "."):
		return fmt.Errorf("%q is not a host in small letters, such as app.example or *.app.example", host)
	case strings.Contains(name, "*"):
		return fmt.Errorf("%q: a star can only be the whole first label, as in *.app.example", host)
	}
	if strings.Contains(name, ":") || !httpx.IsHost(name) {
		return fmt.Errorf("%q is not a host; ports are not part of it", host)
	}
	if _, err := netip.ParseAddr(name); err == nil && name != host {
		return fmt.Errorf("%q: a star matches names, and an address has none", host)
	}
	return CheckHostName(name)
}

// isNumber reports whether a label is a decimal number, or a hexadecimal one
// in the notation of C.
func isNumber(label string) bool {
	if strings.Trim(label, "0123456789") == "" {
		return true
	}
	digits, ok := strings.CutPrefix(strings.ToLower(label), "0x")
	return ok && strings.Trim(digits, "0123456789abcdef") == ""
}

// CheckPort returns an error if the port of u is not from 1 to 65535.
func CheckPort(u *url.URL) error {
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("port %s is not from 1 to 65535", port)
		}
	}
	return nil
}

// checkASCII returns an error if host is not ASCII. The error names its
// Punycode form, which DNS and HTTP use.
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
