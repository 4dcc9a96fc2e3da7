package proxy

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"wsauth/internal/gateway/fault"
	"wsauth/internal/hostaddr"
)

// A Site holds the settings of the gateway that warnings about routes depend
// on.
type Site struct {
	Own     OwnPaths
	Issuer  string   // of the gateway's own tokens
	Origins []string // of pages that may use the gateway, and routes without Origins
}

// warnOfCORS warns of policies that allow pages more than may be intended, and
// of pages that can open sockets but cannot log in.
func (s *Site) warnOfCORS(to *fault.List, routes []Route) {
	if s.Own.CORS != nil {
		warnOfInsecureOrigins(to, "AuthCORS", s.Own.CORS)
	}
	for i := range routes {
		r := &routes[i]
		if r.CORS == nil {
			continue
		}
		field := fmt.Sprintf("Routes[%d].CORS", i)
		warnOfInsecureOrigins(to, field, r.CORS)
		if r.Public && r.CORS.Credentials {
			to.Add(field+".Credentials", "the route is public, so its cookies are those of %s: unless that server protects itself, pages of %s can do there whatever their visitors can", strings.Join(r.Upstreams, " and "), strings.Join(r.CORS.Origins, " and "))
		}
	}
	s.warnOfNoTickets(to, routes)
}

// warnOfInsecureOrigins warns of credentials for pages that are loaded over
// plain HTTP.
func warnOfInsecureOrigins(to *fault.List, field string, c *CORS) {
	for i, o := range c.Origins {
		u, err := url.Parse(o)
		if err == nil && u.Scheme == "http" && c.Credentials && !hostaddr.IsThisMachine(hostaddr.CanonicalHost(u.Hostname())) {
			to.Add(fmt.Sprintf("%s.Origins[%d]", field, i), "an attacker on the network can change pages of %s, and so act here as their visitors", o)
		}
	}
}

// warnOfNoTickets warns of origins whose pages may open sockets but cannot
// fetch tickets for them. It treats the hosts of the routes and of the issuer,
// or else the host of s.Origins[0], as those of this server.
func (s *Site) warnOfNoTickets(to *fault.List, routes []Route) {
	own := s.hosts(routes)
	if s.Own.Prefix == "" || len(own) == 0 {
		return
	}
	granted := s.Own.policy()
	warn := func(field string, origins []string) {
		for i, o := range origins {
			u, err := url.Parse(o)
			if err != nil || slices.ContainsFunc(own, func(host string) bool { return hostsMeet(host, hostaddr.CanonicalHost(u.Hostname())) }) {
				continue
			}
			if !granted.allows(o) {
				to.Add(fmt.Sprintf("%s[%d]", field, i), "pages of %s can open sockets, but can neither fetch tickets for them nor log in: unless browsers see this server under that origin, name it in auth.cors", o)
			}
		}
	}
	inherited := len(routes) == 0
	for i := range routes {
		r := &routes[i]
		if !r.takesTickets() {
			continue
		}
		if r.Origins == nil {
			inherited = true
		}
		warn(fmt.Sprintf("Routes[%d].Origins", i), r.Origins)
	}
	if inherited {
		warn("Origins", s.Origins)
	}
}

// hosts returns the hosts of this server, as far as the configuration shows
// them, with and without "www." in front.
func (s *Site) hosts(routes []Route) []string {
	var all []string
	for i := range routes {
		if host := routes[i].Host; host != "" {
			all = append(all, host)
		}
	}
	if u, err := url.Parse(s.Issuer); err == nil && u.Hostname() != "" {
		all = append(all, hostaddr.CanonicalHost(u.Hostname()))
	}
	if len(all) == 0 && len(s.Origins) > 0 {
		if u, err := url.Parse(s.Origins[0]); err == nil {
			all = append(all, hostaddr.CanonicalHost(u.Hostname()))
		}
	}
	for _, host := range all {
		all = append(all, "www."+strings.TrimPrefix(host, "www."), strings.TrimPrefix(host, "www."))
	}
	return all
}
