package proxy

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"

	"wsauth/internal/hostaddr"
	"wsauth/internal/httpx"
)

// An originPattern matches https origins. In "https://*.example.com" and
// "https://*.example.com:8443", the star matches exactly one label.
type originPattern struct {
	rest string // the part after the label: ".example.com", ".example.com:8443"
}

const patternScheme = "https://"

// parseOriginPattern parses a pattern. The scheme must be https, because an
// attacker on the network can answer for any host over http. The star
// must not be directly below a public suffix, where anybody can register a
// name.
func parseOriginPattern(s string) (originPattern, error) {
	rest, ok := strings.CutPrefix(s, patternScheme+"*.")
	if !ok || strings.Contains(rest, "*") {
		return originPattern{}, fmt.Errorf("%q: a star must be the first label of an https origin, as in https://*.example.com", s)
	}
	if err := httpx.CheckOrigin(patternScheme + rest); err != nil {
		return originPattern{}, fmt.Errorf("%q: without the star, %w", s, err)
	}
	base, _, _ := strings.Cut(rest, ":")
	if _, err := netip.ParseAddr(base); err == nil || strings.HasPrefix(rest, "[") {
		return originPattern{}, fmt.Errorf("%q: there are no names below an address", s)
	}
	if err := hostaddr.CheckHostName(base); err != nil {
		return originPattern{}, fmt.Errorf("%q: %w", s, err)
	}
	if strings.HasSuffix(base, ".") || strings.HasPrefix(base, ".") || strings.Contains(base, "..") {
		return originPattern{}, fmt.Errorf("%q: an empty label is not supported", s)
	}
	if isPublicSuffix(base) || isPublicSuffix("x."+base) {
		return originPattern{}, fmt.Errorf("%q: anyone can register a name directly below the public suffix %s: name a domain of yours, or each origin", s, base)
	}
	return originPattern{"." + rest}, nil
}

// isPublicSuffix reports whether anybody can register names directly below
// domain: whether it is in the Public Suffix List, or is a top-level domain.
func isPublicSuffix(domain string) bool {
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return suffix == domain
}

// matches reports whether p matches an origin in the form that browsers send:
// in lower case, with an ASCII host, and without the default port.
func (p originPattern) matches(origin string) bool {
	host, ok := strings.CutPrefix(origin, patternScheme)
	if !ok {
		return false
	}
	label, ok := strings.CutSuffix(host, p.rest)
	return ok && isOriginLabel(label)
}

// isOriginLabel reports whether s is a single label of a host name.
func isOriginLabel(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != "" && len(s) <= hostaddr.MaxLabel
}
