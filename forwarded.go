package wsauth

import (
	"errors"
	"fmt"

	"wsauth/internal/forwarded"
)

// A ForwardedSource says where trusted proxies identify their clients.
type ForwardedSource string

const (
	// XForwardedFor is the X-Forwarded-For header, with X-Forwarded-Proto,
	// X-Forwarded-Host and X-Forwarded-Port.
	XForwardedFor = ForwardedSource(forwarded.XForwardedFor)

	// Forwarded is the Forwarded header of RFC 7239.
	Forwarded = ForwardedSource(forwarded.Forwarded)
)

// proxies returns the forwarding policy of c. The error joins all errors.
func (c Config) proxies() (*forwarded.Policy, error) {
	source := forwarded.Source(c.ForwardedSource)
	if source == "" {
		source = forwarded.XForwardedFor
	}
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("wsauth: Config."+format, args...))
	}
	var trusted []string
	for i, entry := range c.TrustedProxies {
		if _, err := forwarded.ParseNetwork(entry); err != nil {
			fault("TrustedProxies[%d]: %w", i, err)
			continue
		}
		trusted = append(trusted, entry)
	}
	switch {
	case !source.Valid():
		fault("ForwardedSource: %q is neither XForwardedFor nor Forwarded", string(source))
	case source == forwarded.ProxyProtocol:
		fault("ForwardedSource: a guard sees no connections; let a listener read the PROXY protocol, and leave TrustedProxies empty")
	case source == forwarded.Forwarded && c.ForwardedPort:
		fault("ForwardedPort: the Forwarded header has the port in its host; set ForwardedHost")
	}
	if c.ForwardedScheme != "" && !forwarded.IsScheme(c.ForwardedScheme) {
		fault("ForwardedScheme: %q is neither http nor https", c.ForwardedScheme)
	}
	networks, _ := forwarded.ParseNetworks(trusted) // validated above
	policy := &forwarded.Policy{Trusted: networks, Source: source, Scheme: c.ForwardedScheme, Host: c.ForwardedHost, Port: c.ForwardedPort}
	return policy, errors.Join(faults...)
}
