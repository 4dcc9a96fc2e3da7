package gateway

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"

	"wsauth"
)

// An originPattern is an origin of https whose host has any one label in
// front: "https://*.example.com" or "https://*.example.com:8443".
type originPattern struct {
	rest string // what follows the label: ".example.com", ".example.com:8443"
}

const patternScheme = "https://"

// parseOriginPattern parses a pattern. A pattern has https, since an attacker
// on the way can answer for every host of http; it is not directly below a
// public suffix, where everybody can have a name.
func parseOriginPattern(s string) (originPattern, error) {
	rest, ok := strings.CutPrefix(s, patternScheme+"*.")
	if !ok || strings.Contains(rest, "*") {
		return originPattern{}, fmt.Errorf("%q: a star is the first label of an https origin, as in https://*.example.com", s)
	}
	if err := wsauth.CheckOrigin(patternScheme + rest); err != nil {
		return originPattern{}, fmt.Errorf("%q: without the star, %w", s, err)
	}
	base, _, _ := strings.Cut(rest, ":")
	if _, err := netip.ParseAddr(base); err == nil || strings.HasPrefix(rest, "[") {
		return originPattern{}, fmt.Errorf("%q: there are no names below an address", s)
	}
	if err := checkHostName(base); err != nil {
		return originPattern{}, fmt.Errorf("%q: %w", s, err)
	}
	if strings.HasSuffix(base, ".") || strings.HasPrefix(base, ".") || strings.Contains(base, "..") {
		return originPattern{}, fmt.Errorf("%q: an empty label is not supported", s)
	}
	if isPublicSuffix(base) || isPublicSuffix("x."+base) {
		return originPattern{}, fmt.Errorf("%q: everybody can have a name directly below the public suffix %s: name a domain of yours, or each origin", s, base)
	}
	return originPattern{"." + rest}, nil
}

// isPublicSuffix reports whether everybody can have a name directly below a
// domain: one that the Public Suffix List has, or the last label of a name.
func isPublicSuffix(domain string) bool {
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return suffix == domain
}

// matches reports whether p covers an origin as browsers write it: in small
// letters, with a host in ASCII and without the port of its scheme.
func (p originPattern) matches(origin string) bool {
	host, ok := strings.CutPrefix(origin, patternScheme)
	if !ok {
		return false
	}
	label, ok := strings.CutSuffix(host, p.rest)
	return ok && isOriginLabel(label)
}

// isOriginLabel reports whether s is one label, as the names of hosts have it.
func isOriginLabel(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != "" && len(s) <= maxLabel
}
