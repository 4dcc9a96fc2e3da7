package config

import (
	"net"
	"net/netip"
	"strings"
)

// PlainHTTP returns what is dangerous about serving an address with these
// settings, which other machines can reach without TLS; "" if nothing is. A
// trusted proxy is taken to serve TLS in front, unless forwarded_scheme denies
// it.
func (s *Settings) PlainHTTP(address string) string {
	if s.TLS.Cert != "" || len(s.TrustedProxies) > 0 && s.ForwardedScheme != "http" || isOnlyHere(address) {
		return ""
	}
	text := address + " is plain HTTP for other machines: an attacker on the way can read passwords and tokens"
	if s.Auth.Enabled {
		text += ", and browsers there drop the cookies of a login, which are for HTTPS, so that it cannot last"
	}
	return text + "; set tls.cert and tls.key, name the proxy that serves TLS in trusted_proxies, or listen on 127.0.0.1"
}

// isOnlyHere reports whether only this machine can reach an address to listen
// on, as far as that can be told without looking a name up.
func isOnlyHere(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true // a fault of its own
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 section 6.3
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
