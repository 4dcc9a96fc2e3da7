package gateway

import (
	"fmt"
	"strings"

	"wsauth/internal/gateway/discovery"
	"wsauth/internal/gateway/fault"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/telemetry"
)

// checkRoutes checks the routes and the prefix of the endpoints for logins,
// and sets the defaults of the routes.
func (c *Config) checkRoutes() fault.List {
	var wrong, found fault.List
	if err := checkPrefix(c.AuthPrefix); err != nil {
		wrong.Add("AuthPrefix", "%w", err)
	}
	if c.NoAuth && len(c.Routes) == 0 {
		wrong.Add("NoAuth", "needs routes, else nothing is served")
	}
	c.Routes, found = proxy.CheckRoutes(c.Routes, c.ownPaths(), c.Keys)
	return append(wrong, found...)
}

// checkPrefix returns an error if p cannot be [Config.AuthPrefix]. It is the
// path of cookies, which browsers compare with the path of a request in ASCII
// form.
func checkPrefix(p string) error {
	switch {
	case proxy.CheckPath(p) != nil || strings.HasSuffix(p, "/"):
		return fmt.Errorf("%q is no path such as /auth", p)
	case strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' || r == '"' }):
		return fmt.Errorf("%q cannot be the path of cookies: it must be ASCII, without commas and quotes", p)
	case telemetry.IsHealth(p) || p == discovery.KeysPath || p == discovery.MetadataPath:
		return fmt.Errorf("%q is where the gateway answers something else", p)
	}
	return nil
}

// checkAuthCORS checks the policy of the gateway's own endpoints.
func (c *Config) checkAuthCORS() fault.List {
	own := c.AuthCORS
	if own == nil {
		return nil
	}
	var wrong fault.List
	switch {
	case own.Upstream:
		wrong.Add("AuthCORS", "there is no upstream behind the gateway's own addresses: name the origins")
		return wrong
	case c.NoAuth:
		wrong.Add("AuthCORS", "there are no logins and tickets here that a page could ask for: leave it out")
	case len(own.Methods)+len(own.Headers)+len(own.Expose) > 0:
		wrong.Add("AuthCORS", "the gateway knows the methods and headers of its own addresses: leave them out")
	}
	wrong.AddBelow("AuthCORS", own.Check())
	return wrong
}

// Warnings returns the settings of routes, proxies and origins in c that are
// valid but may be unintended, each as a [*fault.Fault] that names its field.
// The gateway accepts them.
func (c Config) Warnings() []*fault.Fault {
	all := proxy.Warnings(c.Routes)
	c.warnOfProxies(&all)
	c.warnOfCORS(&all)
	return all
}

// ownPaths returns the paths that the gateway answers itself. With NoAuth,
// these are only the published keys, if upstreams need them to verify
// assertions.
func (c Config) ownPaths() proxy.OwnPaths {
	if c.NoAuth {
		return proxy.OwnPaths{Keys: discovery.KeysPath}
	}
	return proxy.OwnPaths{Prefix: c.AuthPrefix, Published: []string{discovery.KeysPath, discovery.MetadataPath}, Keys: discovery.KeysPath, CORS: c.AuthCORS}
}

// Redirects returns the redirects to the paths of guarded routes.
func (c Config) Redirects() []proxy.Redirect { return proxy.Redirects(c.Routes) }
