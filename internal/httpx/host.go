package httpx

import (
	"net/netip"
	"strings"
)

// IsHost reports whether s is a Host field that all servers read in the same
// way: a name or an address, with an optional port. From others, such as
// "app.example:80:80", "app.example,x" or an empty one, a server behind a
// proxy may read another host than the proxy.
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
// have underscores.
func isHostLetter(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}
