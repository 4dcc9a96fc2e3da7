package forwarded

import (
	"net/netip"
	"strings"
)

// parseNode parses the address of a node in the forms that proxies use:
// 192.0.2.1, 192.0.2.1:4711, 2001:db8::1, [2001:db8::1] or [2001:db8::1]:4711.
// The port is 0 if it is missing or obfuscated (RFC 7239 section 6.2). A zone
// is dropped, because it is valid only on the proxy. ok is false for "unknown",
// obfuscated identifiers and everything else.
func parseNode(text string) (node netip.AddrPort, ok bool) {
	host, port := text, ""
	switch {
	case strings.HasPrefix(text, "["):
		var closed bool
		host, port, closed = strings.Cut(text[1:], "]")
		if !closed || !strings.Contains(host, ":") || port != "" && port[0] != ':' {
			return netip.AddrPort{}, false
		}
	case strings.Count(text, ":") == 1:
		host, _, _ = strings.Cut(text, ":")
		port = text[len(host):]
		if strings.Contains(host, "%") {
			return netip.AddrPort{}, false
		}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || !isPlainZone(addr.Zone()) {
		return netip.AddrPort{}, false
	}
	addr = addr.WithZone("").Unmap()
	number, ok := parseNodePort(port)
	if !ok || addr.IsUnspecified() {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr, number), true
}

// parseNodePort parses what follows the address of a node: nothing, or a colon
// and a port.
func parseNodePort(rest string) (port uint16, ok bool) {
	if rest == "" {
		return 0, true
	}
	text := rest[1:]
	if obfuscated, is := strings.CutPrefix(text, "_"); is {
		return 0, obfuscated != "" && isObfuscated(obfuscated)
	}
	return parsePort(text)
}

// parsePort parses a number from 0 to 65535 in canonical form.
func parsePort(text string) (port uint16, ok bool) {
	if text == "" || len(text) > 5 || text[0] == '0' && len(text) > 1 {
		return 0, false
	}
	n := 0
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return uint16(n), n <= 0xffff //nolint:gosec // the second result says if it does not fit
}

// isObfuscated reports whether text, possibly empty, has only characters that
// may follow the underscore of an obfuscated identifier (RFC 7239 section 6.3).
func isObfuscated(text string) bool {
	for _, c := range []byte(text) {
		if !isAlphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// isPlainZone reports whether zone is empty or looks like the name or number
// of an interface. netip accepts any text.
func isPlainZone(zone string) bool { return len(zone) <= 16 && isObfuscated(zone) }

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
