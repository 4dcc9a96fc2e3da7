package httpx

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// IsHost reports whether s is a Host field that all servers read in the same
// way: a name or an address, with an optional port. Other values, such as
// "app.example:80:80", "app.example,x" or an empty one, may mean different
// hosts to a proxy and to the server behind it.
func IsHost(s string) bool {
	if rest, ok := strings.CutPrefix(s, "["); ok {
		literal, after, closed := strings.Cut(rest, "]")
		addr, err := netip.ParseAddr(literal)
		return closed && err == nil && addr.Is6() && addr.Zone() == "" && isPortSuffix(after)
	}
	name, port, found := strings.Cut(s, ":")
	if found && !isPortSuffix(":"+port) {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label == "" || strings.ContainsFunc(label, func(r rune) bool { return !isHostLetter(r) }) {
			return false
		}
	}
	return true
}

// isPortSuffix reports whether s can follow a host: nothing, or a colon and at
// most five digits, possibly none (RFC 3986 section 3.2.3).
func isPortSuffix(s string) bool {
	port, found := strings.CutPrefix(s, ":")
	return s == "" || found && len(port) <= 5 && strings.Trim(port, "0123456789") == ""
}

// isHostLetter reports whether r may occur in a host name. Names of containers
// may have underscores.
func isHostLetter(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}

// IsLoopback reports whether host, without a port, is localhost or a loopback
// address. Subdomains of localhost are not included, because a resolver may
// map them to other machines.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// CheckOrigin returns an error if o is not an origin as browsers write it in an
// Origin header.
func CheckOrigin(o string) error {
	if strings.Contains(o, "*") {
		return fmt.Errorf("%q: patterns are not supported; name each origin", o)
	}
	u, err := url.Parse(o)
	if err != nil || u.Scheme == "" || u.Hostname() == "" {
		return fmt.Errorf("%q is not an origin such as https://app.example", o)
	}
	if strings.ContainsFunc(o, func(r rune) bool { return r > unicode.MaxASCII }) {
		return fmt.Errorf("%q: browsers write the host in ASCII, as xn--…", o)
	}
	if exact := u.Scheme + "://" + strings.TrimSuffix(u.Host, ":"); exact != o || o != strings.ToLower(o) {
		return fmt.Errorf("%q is not exact: write it as browsers do, %q", o, strings.ToLower(exact))
	}
	if u.Scheme == "ws" || u.Scheme == "wss" {
		return fmt.Errorf("%q: the origin of a page is http or https, also where it opens sockets", o)
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || n == 0) {
		return fmt.Errorf("%q: the port is not from 1 to 65535", o)
	}
	if strings.HasPrefix(u.Port(), "0") {
		return fmt.Errorf("%q: browsers write a port without zeros in front", o)
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && addr.Is6() && u.Hostname() != writeIPv6(addr) {
		return fmt.Errorf("%q: browsers write the address as [%s]", o, writeIPv6(addr))
	}
	if port := u.Port(); port != "" && port == DefaultPort(u.Scheme) {
		return fmt.Errorf("%q: browsers leave out port %s of %s", o, port, u.Scheme)
	}
	return nil
}

// DefaultPort returns the port of a scheme that URLs and origins omit, and ""
// for an unknown scheme.
func DefaultPort(scheme string) string {
	switch scheme {
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	}
	return ""
}

// writeIPv6 formats an address as browsers do: in hexadecimal groups only (URL
// standard, section 3.5).
func writeIPv6(addr netip.Addr) string {
	if !addr.Is4In6() {
		return addr.String()
	}
	b := addr.As16()
	return fmt.Sprintf("::ffff:%x:%x", uint(b[12])<<8|uint(b[13]), uint(b[14])<<8|uint(b[15]))
}
