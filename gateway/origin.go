package gateway

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"unicode"
)

// CheckOrigin reports what is wrong with an entry of [Config.Origins]: it must be the ASCII serialization of an origin, as
// browsers send it (RFC 6454 section 6.2), so without a path, a pattern, capital letters or the port that its scheme implies.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || strings.ContainsFunc(origin, notOfOrigins) || !exact(origin, u) {
		return fmt.Errorf("%q is not an origin as browsers send it, such as https://app.example or http://127.0.0.1:8000", origin)
	}
	return nil
}

func notOfOrigins(r rune) bool { return r > unicode.MaxASCII || unicode.IsUpper(r) || r == '*' }

// exact reports whether u has nothing but a scheme, a host and a port that is not the scheme's own.
func exact(origin string, u *url.URL) bool {
	impliedPort := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	host, port, err := net.SplitHostPort(u.Host)
	hasPort := err == nil
	return u.Scheme+"://"+u.Host == origin && (!hasPort || host != "" && port != "" && port != impliedPort)
}
