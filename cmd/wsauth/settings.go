package main

import (
	"os"

	"github.com/alecthomas/kong"

	"wsauth/internal/config"
)

// An override is a flag that overrides a key of the file.
type override struct {
	key string
	set func(*serveCmd, *config.Settings)
}

// overrides maps flags to the keys that they override.
var overrides = map[string]override{
	"addr":             {"listen", func(c *serveCmd, s *config.Settings) { s.Listen = c.Addr }},
	"tls-cert":         {"tls.cert", func(c *serveCmd, s *config.Settings) { s.TLS.Cert = c.TLSCert }},
	"tls-key":          {"tls.key", func(c *serveCmd, s *config.Settings) { s.TLS.Key = c.TLSKey }},
	"data":             {"data", func(c *serveCmd, s *config.Settings) { s.Data = c.Data }},
	"keys":             {"keys", func(c *serveCmd, s *config.Settings) { s.Keys = c.Keys }},
	"issuer":           {"issuer", func(c *serveCmd, s *config.Settings) { s.Issuer = c.Issuer }},
	"users":            {"users", func(c *serveCmd, s *config.Settings) { s.Users = c.Users }},
	"access-ttl":       {"access_ttl", func(c *serveCmd, s *config.Settings) { s.AccessTTL = c.AccessTTL }},
	"refresh-ttl":      {"refresh_ttl", func(c *serveCmd, s *config.Settings) { s.RefreshTTL = c.RefreshTTL }},
	"session-ttl":      {"session_ttl", func(c *serveCmd, s *config.Settings) { s.SessionTTL = c.SessionTTL }},
	"refresh-grace":    {"refresh_grace", func(c *serveCmd, s *config.Settings) { s.RefreshGrace = c.RefreshGrace }},
	"refresh-retry":    {"refresh_retry", func(c *serveCmd, s *config.Settings) { s.RefreshRetry = c.RefreshRetry }},
	"max-sockets":      {"max_sockets", func(c *serveCmd, s *config.Settings) { s.MaxSockets = c.MaxSockets }},
	"origin":           {"origins", func(c *serveCmd, s *config.Settings) { s.Origins = c.Origin }},
	"trusted-proxies":  {"trusted_proxies", func(c *serveCmd, s *config.Settings) { s.TrustedProxies = c.TrustedProxies }},
	"forwarded-source": {"forwarded_source", func(c *serveCmd, s *config.Settings) { s.ForwardedSource = c.ForwardedSource }},
	"forwarded-scheme": {"forwarded_scheme", func(c *serveCmd, s *config.Settings) { s.ForwardedScheme = c.ForwardedScheme }},
	// The providers are built from the flags themselves.
	"provider":     {"providers", func(_ *serveCmd, s *config.Settings) { s.Providers = nil }},
	"drain":        {"drain", func(c *serveCmd, s *config.Settings) { s.Drain = c.Drain }},
	"log":          {"log.format", func(c *serveCmd, s *config.Settings) { s.Log.Format = c.Log }},
	"access-log":   {"log.access", func(c *serveCmd, s *config.Settings) { s.Log.Access = c.AccessLog }},
	"metrics":      {"metrics.listen", func(c *serveCmd, s *config.Settings) { s.Metrics.Listen = c.Metrics }},
	"admin-socket": {"admin.socket", func(c *serveCmd, s *config.Settings) { s.Admin.Socket = c.AdminSocket }},
	"watch":        {"watch", func(c *serveCmd, s *config.Settings) { s.Watch = c.Watch }},
	"insecure-accept-lost-revocations": {"insecure_accept_lost_revocations", func(c *serveCmd, s *config.Settings) {
		s.InsecureAcceptLostRevocations = c.InsecureAcceptLostRevocations
	}},
	"insecure-demo-user": {"insecure_demo_user", func(c *serveCmd, s *config.Settings) { s.InsecureDemoUser = c.InsecureDemoUser }},
}

// override applies flags and environment to the settings of the file. The
// default of a flag does not override the file.
func (c *serveCmd) override(d *config.Document, flags *kong.Context) {
	given := map[string]bool{}
	for _, p := range flags.Path {
		if p.Flag != nil {
			given[p.Flag.Name] = true
		}
	}
	for _, flag := range flags.Flags() {
		over, known := overrides[flag.Name]
		source := "--" + flag.Name
		if known && !given[flag.Name] {
			source = ""
			for _, name := range flag.Envs {
				if _, set := os.LookupEnv(name); set {
					source = name
				}
			}
		}
		if !known || source == "" {
			continue
		}
		if over.key == "listen" {
			source += "=" + c.Addr
		}
		over.set(c, &d.Settings)
		d.Override(over.key, source)
	}
}
