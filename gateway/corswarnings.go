package gateway

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"wsauth/internal/gateway/fault"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/hostaddr"
)

// warnOfCORS warns of policies that allow pages more than may be intended, and
// of pages that can open sockets but cannot log in.
func (c Config) warnOfCORS(to *fault.List) {
	if c.AuthCORS != nil {
		warnOfInsecureOrigins(to, "AuthCORS", c.AuthCORS)
	}
	for i := range c.Routes {
		r := &c.Routes[i]
		if r.CORS == nil {
			continue
		}
		field := fmt.Sprintf("Routes[%d].CORS", i)
		warnOfInsecureOrigins(to, field, r.CORS)
		if r.Public && r.CORS.Credentials {
			to.Add(field+".Credentials", "the route is public, so its cookies are those of %s: pages of %s can do there whatever their visitors can, unless it protects itself from them", strings.Join(r.Upstreams, " and "), strings.Join(r.CORS.Origins, " and "))
		}
	}
	c.warnOfSpeechless(to)
}

// warnOfInsecureOrigins warns of credentials for pages that are loaded over
// plain HTTP.
func warnOfInsecureOrigins(to *fault.List, field string, c *CORS) {
	for i, o := range c.Origins {
		u, err := url.Parse(o)
		if err == nil && u.Scheme == "http" && c.Credentials && !hostaddr.IsThisMachine(hostaddr.CanonicalHost(u.Hostname())) {
			to.Add(fmt.Sprintf("%s.Origins[%d]", field, i), "an attacker on the way to pages of %s can change them, and so act here as their visitors", o)
		}
	}
}

// warnOfSpeechless warns of origins whose pages may open sockets but cannot
// fetch tickets for them. It takes the hosts of the routes and of the issuer
// for those of this server, or else the host of c.Origins[0].
func (c Config) warnOfSpeechless(to *fault.List) {
	own := c.ownHosts()
	if c.NoAuth || len(own) == 0 {
		return
	}
	paths := c.ownPaths()
	granted := paths.Policy(proxy.DefaultExtractors())
	warn := func(field string, origins []string) {
		for i, o := range origins {
			u, err := url.Parse(o)
			if err != nil || slices.ContainsFunc(own, func(host string) bool { return proxy.HostsMeet(host, hostaddr.CanonicalHost(u.Hostname())) }) {
				continue
			}
			if !granted.Allows(o) {
				to.Add(fmt.Sprintf("%s[%d]", field, i), "pages of %s can open sockets, but cannot fetch the tickets for them, nor log in: unless browsers see this server under that origin, name it in auth.cors", o)
			}
		}
	}
	inherited := len(c.Routes) == 0
	for i := range c.Routes {
		r := &c.Routes[i]
		if !r.TakesTickets() {
			continue
		}
		if r.Origins == nil {
			inherited = true
		}
		warn(fmt.Sprintf("Routes[%d].Origins", i), r.Origins)
	}
	if inherited {
		warn("Origins", c.Origins)
	}
}

// ownHosts returns the hosts of this server, as far as the configuration shows
// them.
func (c Config) ownHosts() []string {
	var all []string
	for i := range c.Routes {
		if host := c.Routes[i].Host; host != "" {
			all = append(all, host)
		}
	}
	if u, err := url.Parse(c.Issuer); err == nil && u.Hostname() != "" {
		all = append(all, hostaddr.CanonicalHost(u.Hostname()))
	}
	if len(all) == 0 && len(c.Origins) > 0 {
		if u, err := url.Parse(c.Origins[0]); err == nil {
			all = append(all, hostaddr.CanonicalHost(u.Hostname()))
		}
	}
	for _, host := range all {
		all = append(all, "www."+strings.TrimPrefix(host, "www."), strings.TrimPrefix(host, "www."))
	}
	return all
}
