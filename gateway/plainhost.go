package gateway

import (
	"net/netip"
	"strings"
)

// isPlainHost reports whether a Host field names one host for everybody: a name or an address, and perhaps a port. Of others, such as
// "app.example:80:80", "app.example,x" or none at all, a server behind the gateway may make a host whose routes were not asked.
func isPlainHost(s string) bool {
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

// isPortSuffix reports whether s is what may follow a host: nothing, or a colon and at most five digits, which may be none (RFC 3986
// section 3.2.3).
func isPortSuffix(s string) bool {
	port, found := strings.CutPrefix(s, ":")
	return s == "" || found && len(port) <= 5 && strings.Trim(port, "0123456789") == ""
}

// isHostLetter reports whether r is in the names of hosts; the underscore is in those of containers.
func isHostLetter(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}
