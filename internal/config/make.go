package config

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"wsauth"
	"wsauth/internal/errtext"
	"wsauth/internal/forwarded"
	"wsauth/internal/gateway"
	"wsauth/internal/gateway/admin"
	"wsauth/internal/gateway/fault"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/tokens"
	"wsauth/internal/hostaddr"
	"wsauth/login"
)

// A Maker builds gateway configurations. It reuses parts of what it has built
// before, so that unchanged settings compare as equal.
type Maker struct {
	// Logger is used by the gateway. Default: none.
	Logger *slog.Logger

	// Files enables checks of the user file and the certificate files, for a
	// server that is about to start.
	Files bool

	// DataDir is the data folder of a document that does not set one. Default:
	// unknown.
	DataDir string

	trusted map[trust]*tls.Config
}

// Make validates the document and returns its configuration, without keys,
// users and store. The error is a [Faults] with all faults, including those
// of [Parse].
func (m *Maker) Make(d *Document) (gateway.Config, error) {
	b := &build{Document: d, maker: m, trusted: map[trust]*tls.Config{}, faults: slices.Clone(d.faults)}
	s := &d.Settings
	c := gateway.Config{
		Tokens: tokens.Config{
			Issuer:          s.Issuer,
			IssuedLeeway:    s.IssuedLeeway,
			IntegerSubjects: s.IntegerSubjects,
			InsecureUntyped: s.InsecureUntyped,
		},
		Limits: wsauth.Limits{
			PerSubject:                cmp.Or(s.MaxSockets, -1),
			WhenFull:                  whenFull[s.WhenFull],
			Unauthenticated:           s.MaxUnauthenticated,
			UnauthenticatedPerAddress: s.MaxUnauthenticatedPerAddress,
		},
		Login: login.Config{
			Prefix:        s.Auth.Prefix,
			AccessTTL:     s.AccessTTL,
			RefreshTTL:    s.RefreshTTL,
			SessionTTL:    s.SessionTTL,
			RefreshGrace:  cmp.Or(s.RefreshGrace, -1),
			RefreshRetry:  cmp.Or(s.RefreshRetry, -1),
			LoginsPerHour: cmp.Or(s.LoginsPerHour, -1),
			TicketRate:    s.TicketRate,
		},
		Front: front.Config{
			MaxConnections:           s.MaxConnections,
			MaxConnectionsPerAddress: s.MaxConnectionsPerAddress,
			TrustedProxies:           s.TrustedProxies,
			ForwardedSource:          forwarded.Source(s.ForwardedSource),
			ForwardedScheme:          s.ForwardedScheme,
			ForwardedHost:            s.ForwardedHost,
			ForwardedPort:            s.ForwardedPort,
			Drain:                    s.Drain,
		},
		Staleness: s.Store.Staleness,
		WhenStale: whenStale[s.Store.OnStale],
		Origins:   s.Origins,
		NoAuth:    !s.Auth.Enabled,
		AccessLog: s.Log.Access,
		Logger:    m.Logger,
	}
	if d.Has("ticket_burst") { // otherwise the default depends on max_sockets
		c.Login.TicketBurst = s.TicketBurst
	}
	b.checkServer()
	b.checkStore()
	if slices.Contains(s.Origins, anyOrigin) {
		b.report("origins", "any is valid only for a route: logins use cookies, which any web site could use through its visitors")
		c.Origins = nil
	}
	b.checkOriginUserInfo("origins", s.Origins)
	c.AuthCORS = b.authCORS()
	c.Tokens.Providers = b.providers()
	for i := range s.Routes {
		c.Routes = append(c.Routes, b.route(i))
	}
	b.checkLoops()
	b.checkGateway(c)
	if m.Files {
		b.checkFiles()
	}
	if err := b.faults.err(); err != nil {
		return gateway.Config{}, err
	}
	m.trusted = b.trusted
	return c, nil
}

// A build is the state of one call of Make.
type build struct {
	*Document
	maker   *Maker
	trusted map[trust]*tls.Config
	faults  Faults // of the document and the gateway
}

// report adds a fault for each line of a text, unless the key already has a
// fault, because further faults would be consequences of it.
func (b *build) report(key, format string, args ...any) {
	for i, arg := range args {
		if err, ok := arg.(error); ok {
			args[i] = errtext.Of(err)
		}
	}
	if b.faults.concernKey(key) {
		return
	}
	for line := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
		b.faults = append(b.faults, b.fault(key, "%s", line))
	}
}

// checkGateway reports the faults that the gateway finds in c.
func (b *build) checkGateway(c gateway.Config) {
	_, err := c.Check()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return
	}
	for _, err := range joined.Unwrap() {
		f, ok := errors.AsType[*fault.Fault](err)
		if !ok {
			b.report("", "%v", err)
			continue
		}
		if key := b.keyOf(f); key != "" {
			b.report(key, "%v", f.Err)
		}
	}
}

// checkServer checks the settings that the gateway does not check.
func (b *build) checkServer() {
	s := &b.Settings
	b.checkAddress("listen", s.Listen)
	if s.Metrics.Listen != "" {
		b.checkAddress("metrics.listen", s.Metrics.Listen)
	}
	if s.Admin.Listen != "" {
		b.checkAddress("admin.listen", s.Admin.Listen)
		b.checkLoopback("admin.listen", s.Admin.Listen)
	}
	for i, one := range [][2]string{{"metrics.listen", s.Metrics.Listen}, {"admin.listen", s.Admin.Listen}} {
		for _, other := range [][2]string{{"listen", s.Listen}, {"metrics.listen", s.Metrics.Listen}}[:i+1] {
			if hostaddr.Collide(one[1], other[1]) {
				b.report(one[0], "%s has the same address: each needs an address of its own", other[0])
			}
		}
	}
	switch {
	case s.TLS.Cert != "" && s.TLS.Key == "":
		b.report("tls.cert", "needs tls.key, the file of the private key")
	case s.TLS.Cert == "" && s.TLS.Key != "":
		b.report("tls.key", "needs tls.cert, the file of the certificates")
	}
	if s.Admin.Listen != "" && s.Admin.TokenFile == "" {
		b.report("admin.listen", "needs admin.token_file: on a port, operators authenticate with a token")
	}
	if s.Admin.Host != "" && !b.hasUserInfo("admin.host", s.Admin.Host) {
		if err := admin.CheckHost(s.Admin.Host); err != nil {
			b.report("admin.host", "%v", err)
		}
	}
	if s.Auth.Prefix == "" {
		b.report("auth.prefix", "must be a path such as /auth; remove the line to use the default")
	}
	if s.InsecureDemoUser && s.Users != "" {
		b.report("insecure_demo_user", "has no effect with users; use only one of the two")
	}
}

// checkLoops reports upstreams that are addresses of this server, because
// requests to them would loop.
func (b *build) checkLoops() {
	s := &b.Settings
	listeners := []struct{ key, address string }{
		{"listen", s.Listen}, {"metrics.listen", s.Metrics.Listen}, {"admin.listen", s.Admin.Listen}, {"admin.socket", b.adminSocket()},
	}
	for i, r := range s.Routes {
		for j, upstream := range r.allUpstreams() {
			for _, l := range listeners {
				if l.address != "" && hostaddr.Reaches(upstream, l.address) {
					b.report(b.upstreamKey(fmt.Sprintf("routes[%d]", i), fmt.Sprintf("[%d]", j)), "this is the server's own address (%s)", l.key)
				}
			}
		}
	}
}

// adminSocket returns the path of the operators' socket, or "" if there is
// none or its folder is unknown.
func (b *build) adminSocket() string {
	s := &b.Settings
	switch {
	case s.Admin.Socket == Off:
		return ""
	case s.Admin.Socket != "":
		return s.Admin.Socket
	case s.Data == "" && b.maker.DataDir == "":
		return ""
	}
	return filepath.Join(cmp.Or(s.Data, b.maker.DataDir), AdminSocketName)
}

// checkAddress checks that s is an address to listen on.
func (b *build) checkAddress(key, s string) {
	if err := hostaddr.CheckListen(s); err != nil {
		b.report(key, "%v", err)
	}
}

// checkLoopback reports an address that other machines can reach, as far as
// it is known without resolving names.
func (b *build) checkLoopback(key, s string) {
	host, _, err := net.SplitHostPort(s)
	ip, ipErr := netip.ParseAddr(host)
	if err == nil && (host == "" || ipErr == nil && !ip.IsLoopback()) {
		b.report(key, "other machines can reach it, and the token would be sent in plain text: use a loopback address, such as 127.0.0.1:9091")
	}
}

var requirements = map[string]wsauth.Requirement{
	"access":   wsauth.Access,
	"optional": wsauth.Optional,
	"refresh":  wsauth.Refresh,
	"fresh":    wsauth.Fresh,
}

var whenFull = map[string]wsauth.WhenFull{"end_oldest": wsauth.EndOldest, "refuse": wsauth.RefuseNew}

var refusals = map[string]wsauth.Refusal{"http": wsauth.RefuseHTTP, "close": wsauth.RefuseClose}

// route returns the configuration of one route.
func (b *build) route(i int) proxy.Route {
	key, r := fmt.Sprintf("routes[%d]", i), &b.Settings.Routes[i]
	if r.Upstream != "" && len(r.Upstreams) > 0 {
		b.report(key+".upstreams", "must not be set together with upstream: remove one of the two")
	}
	if b.Has(key+".sockets") && !r.Public {
		b.report(key+".sockets", "valid only for public routes; on other routes, the requirement decides who may open sockets")
	}
	b.hasUserInfo(key+".host", r.Host)
	b.checkOriginUserInfo(key+".origins", r.Origins)
	made := proxy.Route{
		Host:           r.Host,
		Path:           r.Path,
		Upstreams:      r.allUpstreams(),
		TLS:            b.routeTLS(key+".tls", r),
		Health:         proxy.Health{Path: r.Health.Path, Every: r.Health.Every, Timeout: r.Health.Timeout},
		Public:         r.Public,
		Sockets:        r.Sockets,
		Requirement:    requirements[r.Requirement],
		Scopes:         r.Scopes,
		Claims:         map[string][]string{},
		AppParameters:  r.AppParameters,
		Origins:        r.Origins,
		CORS:           b.cors(key+".cors", r.CORS),
		Refusal:        refusals[r.Refusal],
		Headers:        map[string]string{},
		HeaderLists:    proxy.HeaderLists(r.HeaderLists),
		Assertion:      r.Assertion,
		KeepCredential: r.KeepCredential,
		LenientPaths:   r.LenientPaths,
		Limits: proxy.RouteLimits{
			MaxBody:    int64(cmp.Or(r.Limits.MaxBody, -1)),
			MaxFrame:   int64(cmp.Or(r.Limits.MaxFrame, -1)),
			MaxMessage: int64(cmp.Or(r.Limits.MaxMessage, -1)),

			MaxFragments: cmp.Or(r.Limits.MaxFragments, -1),

			Idle:      cmp.Or(r.Limits.Idle, -1),
			Ping:      cmp.Or(r.Limits.Ping, -1),
			PerMinute: cmp.Or(r.Limits.HandshakesPerMinute, -1),
		},
		Connect:  r.ConnectTimeout,
		Response: r.ResponseTimeout,
	}
	if made.AnyOrigin = slices.Equal(r.Origins, Origins{anyOrigin}); made.AnyOrigin {
		made.Origins = nil
	} else if slices.Contains(r.Origins, anyOrigin) {
		b.report(key+".origins", "any must be the only entry: remove it, or the other origins")
		made.Origins = nil
	}
	for name, values := range r.Claims {
		made.Claims[name] = values
	}
	for name, claim := range r.Headers {
		made.Headers[name] = claim
	}
	for _, l := range r.Extractors {
		if l.Options == nil {
			continue // the fault has been reported
		}
		made.Extractors = append(made.Extractors, l.Options.extractor())
	}
	if len(r.Extractors) == 0 && !r.Public {
		b.report(key+".extractors", "needs at least one: otherwise no credential could be sent")
	}
	return made
}

// RouteWarnings describes routes and trusted proxies that allow more than was
// probably intended, one line each. c must be the result of [Maker.Make] for
// d.
func (d *Document) RouteWarnings(c gateway.Config) []string {
	var all []string
	for _, f := range c.Warnings() {
		key := d.keyOf(f)
		all = append(all, fmt.Sprintf("%s: %v (line %d)", key, f.Err, d.line(key)))
	}
	return all
}

// Warnings describes dangerous settings, one line each.
func (d *Document) Warnings() []string {
	var all []string
	if text := d.Settings.PlainHTTP(d.Settings.Listen); text != "" {
		all = append(all, "listen: "+text)
	}
	if d.Settings.InsecureUntyped {
		all = append(all, "insecure_untyped: every JWT signed with the same keys opens sockets, whatever its purpose")
	}
	for i, p := range d.Settings.Providers {
		for _, w := range p.config().Warnings() {
			field, text, _ := strings.Cut(w, ": ")
			all = append(all, fmt.Sprintf("providers[%d].%s: %s", i, providerKeys[field], text))
		}
	}
	for i, r := range d.Settings.Routes {
		if r.TLS.InsecureSkipVerify {
			all = append(all, fmt.Sprintf("routes[%d].tls.insecure_skip_verify: attackers on the network can read and change all traffic with %s", i, strings.Join(r.allUpstreams(), " and ")))
		}
		if r.Public && r.Sockets && slices.Contains(r.Origins, anyOrigin) {
			all = append(all, fmt.Sprintf("routes[%d].origins: any: pages of any site can open sockets to %s with the cookies of their visitors; if it trusts cookies, it must check the Origin itself", i, strings.Join(r.allUpstreams(), " and ")))
		}
		for _, l := range r.Extractors {
			o, ok := l.Options.(*cookieOptions)
			if ok && o.InsecureNoCSRF {
				all = append(all, fmt.Sprintf("routes[%d].extractors: insecure_no_csrf: pages of other sites can use the cookies of their visitors, except for sockets", i))
			}
			if ok && o.InsecureHTTP {
				all = append(all, fmt.Sprintf("routes[%d].extractors: insecure_http: attackers on the network can read the cookies", i))
			}
		}
	}
	return all
}
