package gateway

import (
	"fmt"

	"wsauth/internal/forwarded"
	"wsauth/internal/gateway/fault"
)

// forwarding returns the policy for trusted proxies of a configuration that
// was checked.
func (c Config) forwarding() forwarded.Policy {
	trusted, _ := forwarded.ParseNetworks(c.TrustedProxies) // checked
	return forwarded.Policy{
		Trusted: trusted, Source: c.ForwardedSource,
		Scheme: c.ForwardedScheme, Host: c.ForwardedHost, Port: c.ForwardedPort,
	}
}

// checkProxies checks the fields that concern proxies.
func (c Config) checkProxies(to *fault.List) {
	for i, entry := range c.TrustedProxies {
		if _, err := forwarded.ParseNetwork(entry); err != nil {
			to.Add(fmt.Sprintf("TrustedProxies[%d]", i), "%w", err)
		}
	}
	if !c.ForwardedSource.Valid() {
		to.Add("ForwardedSource", "%q is not x-forwarded-for, forwarded or proxy_protocol", string(c.ForwardedSource))
	}
	if c.ForwardedScheme != "" && !forwarded.IsScheme(c.ForwardedScheme) {
		to.Add("ForwardedScheme", "%q is neither http nor https", c.ForwardedScheme)
	}
	if c.ForwardedHost && c.ForwardedSource == forwarded.ProxyProtocol {
		to.Add("ForwardedHost", "a PROXY header names no host")
	}
	switch {
	case !c.ForwardedPort:
	case c.ForwardedSource == forwarded.ProxyProtocol:
		to.Add("ForwardedPort", "a proxy that sends a PROXY header leaves the Host field with its port as it is")
	case c.ForwardedSource == forwarded.Forwarded:
		to.Add("ForwardedPort", "the Forwarded field has the port in its host; set ForwardedHost")
	}
}

// warnOfProxies warns of settings for proxies that trust strangers, or have no
// effect.
func (c Config) warnOfProxies(to *fault.List) {
	trusted, _ := forwarded.ParseNetworks(c.TrustedProxies)
	for i, entry := range c.TrustedProxies {
		if n, err := forwarded.ParseNetwork(entry); err == nil && len(n.Wide()) > 0 {
			to.Add(fmt.Sprintf("TrustedProxies[%d]", i), "%s is much more than your proxies: everybody who connects from there chooses the address by which logs and limits know them", entry)
		}
	}
	if !trusted.IsEmpty() {
		return
	}
	if c.ForwardedSource == forwarded.ProxyProtocol {
		to.Add("ForwardedSource", "without trusted proxies every connection is closed, since nobody may send a PROXY header")
	}
	if c.ForwardedSource == forwarded.Forwarded {
		to.Add("ForwardedSource", "without trusted proxies it is not read")
	}
	if c.ForwardedScheme != "" {
		to.Add("ForwardedScheme", "without trusted proxies it does nothing")
	}
	if c.ForwardedHost {
		to.Add("ForwardedHost", "without trusted proxies it does nothing")
	}
	if c.ForwardedPort {
		to.Add("ForwardedPort", "without trusted proxies it does nothing")
	}
}
