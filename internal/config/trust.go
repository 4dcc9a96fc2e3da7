package config

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"os"
	"slices"
	"strings"
)

// A trust is which upstreams a route believes. Equal ones are one *tls.Config, so that the gateway sees that nothing has changed.
type trust struct {
	ca       [sha256.Size]byte // of what the file holds; zero for the system's roots
	server   string
	insecure bool
}

// trust makes what a route believes; nil is the system's roots.
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
			w.report(key+".insecure_skip_verify", "nothing is verified then, and ca has no meaning: leave one of the two out")
		}
		text, err := os.ReadFile(r.TLS.CA)
		if err != nil {
			w.report(key+".ca", "%v", err)
			return nil
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			w.report(key+".ca", "%s holds no certificate in PEM form", r.TLS.CA)
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
