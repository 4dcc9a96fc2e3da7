package config

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"os"
	"slices"
	"strings"
)

// A trust identifies which upstream servers a route trusts. Equal ones share a
// *tls.Config, so that the gateway recognises an unchanged route.
type trust struct {
	ca       [sha256.Size]byte // hash of the file; zero for the system's roots
	server   string
	insecure bool
}

// trust returns the TLS configuration of a route, or nil for the defaults.
func (w *work) trust(key string, r *Route) *tls.Config {
	if r.TLS == (UpstreamTLS{}) {
		return nil
	}
	isHTTPS := func(u string) bool { return strings.HasPrefix(u, "https://") }
	if upstreams := r.all(); len(upstreams) > 0 && !slices.ContainsFunc(upstreams, isHTTPS) {
		w.report(key, "no upstream of the route begins with https://")
	}
	t := trust{server: r.TLS.ServerName, insecure: r.TLS.InsecureSkipVerify}
	var roots *x509.CertPool
	if r.TLS.CA != "" {
		if r.TLS.InsecureSkipVerify {
			w.report(key+".insecure_skip_verify", "it disables verification, so ca has no effect: remove one of the two")
		}
		text, err := os.ReadFile(r.TLS.CA)
		if err != nil {
			w.report(key+".ca", "%v", err)
			return nil
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			w.report(key+".ca", "%s contains no PEM certificate", r.TLS.CA)
			return nil
		}
		t.ca = sha256.Sum256(text)
	}
	made := w.maker.trusted[t]
	if made == nil {
		made = w.trusted[t]
	}
	if made == nil {
		made = &tls.Config{
			MinVersion:         tls.VersionTLS12,
			RootCAs:            roots,
			ServerName:         t.server,
			InsecureSkipVerify: t.insecure, //nolint:gosec // spelled so in the file, and said in the log
		}
	}
	w.trusted[t] = made
	return made
}
