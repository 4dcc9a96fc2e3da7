package httpx

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

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
