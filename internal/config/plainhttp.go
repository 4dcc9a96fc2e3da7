package config

import (
	"net"
	"net/netip"
	"strings"
)

// PlainHTTP describes the danger of serving an address without TLS with these
// settings, or returns "". A trusted proxy is assumed to terminate TLS, unless
// forwarded_scheme says otherwise.
func (s *Settings) PlainHTTP(address string) string {
	if s.TLS.Cert != "" || len(s.TrustedProxies) > 0 && s.ForwardedScheme != "http" || isOnlyHere(address) {
		return ""
	}
	text := address + " serves plain HTTP to other machines: attackers on the network can read passwords and tokens"
	if s.Auth.Enabled {
		text += ", and browsers discard the cookies of a login, which require HTTPS"
	}
	return text + "; set tls.cert and tls.key, list the proxy that serves TLS in trusted_proxies, or listen on 127.0.0.1"
}

// isOnlyHere reports whether only this machine can reach an address, as far as
// it is known without resolving names.
func isOnlyHere(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true // reported elsewhere
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	// RFC 6761 §6.3.
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
