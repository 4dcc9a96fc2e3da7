package config

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"os"
	"slices"
	"strings"

	"wsauth/internal/adminapi"
	"wsauth/internal/certfile"
	"wsauth/login"
)

// checkFiles checks the files that a server opens when it starts.
func (b *build) checkFiles() {
	s := &b.Settings
	if s.Users != "" {
		if _, err := login.OpenUsers(s.Users); err != nil {
			b.report("users", "%v", err)
		}
	}
	if s.TLS.Cert != "" && s.TLS.Key != "" {
		if _, err := certfile.Open(s.TLS.Cert, s.TLS.Key); err != nil {
			b.report("tls", "%v", err)
		}
	}
	b.checkStoreFiles()
	if s.Admin.TokenFile != "" {
		if _, err := adminapi.ReadToken(s.Admin.TokenFile); err != nil {
			b.report("admin.token_file", "%v", err)
		}
	}
}

// A trust identifies which upstream servers a route trusts. Equal trusts share
// a *tls.Config, so that the gateway recognizes an unchanged route.
type trust struct {
	ca       [sha256.Size]byte // hash of the file; zero for the system's roots
	server   string
	insecure bool
}

// routeTLS returns the TLS configuration of a route, or nil for the defaults.
func (b *build) routeTLS(key string, r *Route) *tls.Config {
	if r.TLS == (UpstreamTLS{}) {
		return nil
	}
	isHTTPS := func(u string) bool { return strings.HasPrefix(u, "https://") }
	if upstreams := r.allUpstreams(); len(upstreams) > 0 && !slices.ContainsFunc(upstreams, isHTTPS) {
		b.report(key, "no upstream of the route begins with https://")
	}
	t := trust{server: r.TLS.ServerName, insecure: r.TLS.InsecureSkipVerify}
	var roots *x509.CertPool
	if r.TLS.CA != "" {
		if r.TLS.InsecureSkipVerify {
			b.report(key+".insecure_skip_verify", "it disables verification, so ca has no effect: remove one of the two")
		}
		text, err := os.ReadFile(r.TLS.CA)
		if err != nil {
			b.report(key+".ca", "%v", err)
			return nil
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			b.report(key+".ca", "%s contains no PEM certificate", r.TLS.CA)
			return nil
		}
		t.ca = sha256.Sum256(text)
	}
	made := b.maker.trusted[t]
	if made == nil {
		made = b.trusted[t]
	}
	if made == nil {
		made = &tls.Config{
			MinVersion:         tls.VersionTLS12,
			RootCAs:            roots,
			ServerName:         t.server,
			InsecureSkipVerify: t.insecure, //nolint:gosec // the key says insecure, and the log warns
		}
	}
	b.trusted[t] = made
	return made
}
