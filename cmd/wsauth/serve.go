package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"wsauth/idp"
	"wsauth/internal/config"
	"wsauth/internal/gateway/discovery"
	"wsauth/internal/httpx"
	"wsauth/internal/server"
	"wsauth/login"
)

type serveCmd struct {
	Config           string         `env:"WSAUTH_CONFIG" placeholder:"FILE" help:"Configuration file with routes to upstreams and all other settings; see \"wsauth config example\". Flags and environment take precedence. It is read again when it is replaced by renaming (unless --no-watch), at SIGHUP, and by \"wsauth reload\"."`
	Addr             string         `default:"127.0.0.1:8000" placeholder:"HOST:PORT" env:"WSAUTH_LISTEN" help:"Address to listen on (default: ${default}). Port 0 chooses a free one."`
	TLSCert          string         `name:"tls-cert" placeholder:"FILE" env:"WSAUTH_TLS_CERT" help:"File with the server's certificate chain, in PEM: with it and --tls-key the server speaks TLS. Changes of the files are applied within seconds and at SIGHUP."`
	TLSKey           string         `name:"tls-key" placeholder:"FILE" env:"WSAUTH_TLS_KEY" help:"File with the private key, accessible only to its owner."`
	Data             string         `placeholder:"DIR" env:"WSAUTH_DATA" help:"Folder for keys, sessions and revocations, created on the first start (default: wsauth in $$XDG_DATA_HOME or ~/.local/share)."`
	Keys             string         `placeholder:"DIR" env:"WSAUTH_KEYS" help:"Folder of the keys that sign and verify tokens; \"wsauth keys\" manages it, and changes are applied within seconds. If it is empty, a key is generated (default: keys in the folder of --data)."`
	Issuer           string         `placeholder:"URL" env:"WSAUTH_ISSUER" help:"Public URL of this server, such as https://login.example: the iss of its tokens, and where others find its public keys. Changing it ends all sessions (default: none)."`
	Store            string         `placeholder:"URL" env:"WSAUTH_STORE" help:"Store that several nodes share, such as redis://host:6379 or postgres://host/database. A URL with a password is accepted only from the environment, and in the file of the key store.url_file (default: a file in the folder of --data)."`
	ClusterSecret    string         `name:"cluster-secret-file" placeholder:"FILE" env:"WSAUTH_CLUSTER_SECRET_FILE" help:"File with a secret that all nodes have, at least 32 random bytes, accessible only to its owner: with it, the nodes share their keys through the store (default: the nodes share the folder of --keys)."`
	Users            string         `placeholder:"FILE" env:"WSAUTH_USERS" help:"User file, one name:hash per line, with argon2id or bcrypt hashes; \"wsauth user\" and \"htpasswd -B\" write it. It is read again when it is replaced by renaming (unless --no-watch), at SIGHUP, and by \"wsauth reload\"; changed users are logged out. Without it there are no logins, except for the demonstration's user test if there are no routes."`
	AccessTTL        time.Duration  `name:"access-ttl" default:"15m" placeholder:"DURATION" env:"WSAUTH_ACCESS_TTL" help:"Lifetime of an access token, and of a socket whose session is not refreshed, in whole seconds, such as 20s or 1h (default: ${default}). If it is 1m or more, each session gets up to a tenth less, at random."`
	RefreshTTL       time.Duration  `name:"refresh-ttl" default:"720h" placeholder:"DURATION" env:"WSAUTH_REFRESH_TTL" help:"Lifetime of a refresh token, and so of a session that is not used: at most 8784h (default: ${default}, 30 days)."`
	SessionTTL       time.Duration  `name:"session-ttl" default:"2160h" placeholder:"DURATION" env:"WSAUTH_SESSION_TTL" help:"Maximum lifetime of a session, however much it is used: at least --refresh-ttl (default: ${default}, 90 days)."`
	RefreshGrace     time.Duration  `default:"10s" placeholder:"DURATION" env:"WSAUTH_REFRESH_GRACE" help:"How long after a refresh the old refresh token may be used again, in case the answer was lost: at most 1m; 0s: not at all (default: ${default})."`
	RefreshRetry     time.Duration  `default:"24h" placeholder:"DURATION" env:"WSAUTH_REFRESH_RETRY" help:"How long after a refresh it may be repeated with the same Idempotency-Key, in case the answer was lost, unless the new refresh token has been used: at most 24h; 0s: not at all (default: ${default})."`
	MaxSockets       int            `default:"100" placeholder:"N" env:"WSAUTH_MAX_SOCKETS" help:"Maximum number of open sockets of one user (default: ${default}). 0: no limit."`
	Origin           []string       `placeholder:"URL" env:"WSAUTH_ORIGIN" help:"Origin of this server for browsers, such as https://app.example. It replaces the server's own, http://HOST:PORT; may be repeated."`
	TrustedProxies   []string       `placeholder:"NETWORK" env:"WSAUTH_TRUSTED_PROXIES" help:"Proxy in front that is trusted to name its clients: an address, a network such as 10.0.0.0/8, private (the private networks and this machine) or unix (peers on a Unix socket); separate several with commas. See docs/behind-a-proxy.md."`
	ForwardedSource  string         `enum:"x-forwarded-for,forwarded,proxy_protocol" default:"x-forwarded-for" placeholder:"SOURCE" env:"WSAUTH_FORWARDED_SOURCE" help:"How the proxy names its clients: x-forwarded-for, forwarded (RFC 7239) or proxy_protocol, which every connection must then begin with (default: ${default})."`
	ForwardedScheme  string         `enum:",http,https" default:"" placeholder:"SCHEME" env:"WSAUTH_FORWARDED_SCHEME" help:"Scheme of all forwarded requests, http or https, for a proxy that terminates TLS without reporting it (default: as the proxy reports)."`
	Provider         []providerFlag `sep:"none" placeholder:"PAIRS" env:"WSAUTH_PROVIDER" help:"Identity provider whose access tokens are also accepted, as preset=PRESET,issuer=URL,audience=NAME; may be repeated. Presets: auth0, cognito, entra, google, keycloak, okta, standard. See docs/identity-providers.md."`
	Drain            time.Duration  `default:"10s" placeholder:"DURATION" env:"WSAUTH_DRAIN" help:"Maximum duration of a shutdown: for up to half of it, sockets are closed one after the other (default: ${default})."`
	Log              string         `enum:"text,json" default:"text" placeholder:"FORMAT" env:"WSAUTH_LOG" help:"Format of the log on standard error: text or json (default: ${default})."`
	AccessLog        bool           `env:"WSAUTH_ACCESS_LOG" help:"Log each request, and the beginning and end of each socket, without queries and credentials."`
	Metrics          string         `placeholder:"HOST:PORT" env:"WSAUTH_METRICS" help:"Address for /metrics, /livez and /readyz, without authentication, such as 127.0.0.1:9090 (default: none; the latter two are also on --addr)."`
	AdminSocket      string         `placeholder:"PATH" env:"WSAUTH_ADMIN_SOCKET" help:"Unix socket for \"wsauth sessions\", \"wsauth revoke\" and other commands for a running server, accessible only to the server's user; off disables it (default: admin.sock in the folder of --data)."`
	Watch            bool           `default:"true" negatable:"" env:"WSAUTH_WATCH" help:"Watch the files of --config, --users and the operators' token, and read them again within a second when they are replaced by renaming (default: ${default}). With --no-watch they are read again only at SIGHUP and by \"wsauth reload\"."`
	InsecureDemoUser bool           `env:"WSAUTH_INSECURE_DEMO_USER" help:"Let the user test with the password test log in on addresses that other machines can reach."`

	InsecureAcceptLostRevocations bool `env:"WSAUTH_INSECURE_ACCEPT_LOST_REVOCATIONS" help:"If the store was removed, or replaced by another or an older copy, do not revoke everything that started before now: revoked tokens become valid again."`
}

// Help returns the text of "wsauth serve --help".
func (serveCmd) Help() string {
	return `With --config it is a gateway in front of other servers. Without it there is a page at / that logs in and opens an authenticated echo socket, and a page with forms for the API at /docs; without --users this is a demonstration, whose only user is "test" with the password "test". Ctrl-C or SIGTERM closes the sockets one after the other with code 1012, and stops within the time of --drain; a second one stops immediately. Sessions and revocations survive a restart.`
}

// Validate validates the flags. With a file, flags and file can only be
// validated together, by the server.
func (c *serveCmd) Validate() error {
	if c.Config != "" {
		return nil
	}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.AccessTTL < time.Second || c.AccessTTL%time.Second != 0 {
		fault("--access-ttl=%s: must be whole seconds, at least 1s", c.AccessTTL)
	}
	if c.RefreshTTL <= c.AccessTTL || c.RefreshTTL > login.MaxTTL || c.RefreshTTL%time.Second != 0 {
		fault("--refresh-ttl=%s: must be whole seconds, longer than --access-ttl=%s, and at most %s", c.RefreshTTL, c.AccessTTL, login.MaxTTL)
	}
	if c.SessionTTL < c.RefreshTTL || c.SessionTTL > login.MaxSessionTTL || c.SessionTTL%time.Second != 0 {
		fault("--session-ttl=%s: must be whole seconds, at least --refresh-ttl=%s, and at most %s", c.SessionTTL, c.RefreshTTL, login.MaxSessionTTL)
	}
	if c.RefreshGrace < 0 || c.RefreshGrace > login.MaxRefreshGrace {
		fault("--refresh-grace=%s: must be from 0s to %s", c.RefreshGrace, login.MaxRefreshGrace)
	}
	if c.RefreshRetry < 0 || c.RefreshRetry > login.MaxRefreshRetry {
		fault("--refresh-retry=%s: must be from 0s to %s", c.RefreshRetry, login.MaxRefreshRetry)
	}
	if c.MaxSockets < 0 {
		fault("--max-sockets=%d: must be 0, for no limit, or more", c.MaxSockets)
	}
	if c.Users != "" && c.InsecureDemoUser {
		fault("--insecure-demo-user: it has no effect with --users; use only one of the two")
	}
	if c.Issuer != "" {
		if err := discovery.CheckIssuer(c.Issuer); err != nil {
			fault("--issuer=%s: %w", c.Issuer, err)
		}
	}
	for _, o := range c.Origin {
		if err := httpx.CheckOrigin(o); err != nil {
			fault("--origin: %w", err)
		}
	}
	return errors.Join(faults...)
}

// Run serves until ctx is done.
func (c *serveCmd) Run(ctx context.Context, flags *kong.Context) error {
	// Sockets must stay open if the reader of the log has gone.
	signal.Ignore(syscall.SIGPIPE)
	s, err := server.New(ctx, server.Config{
		File:      c.Config,
		Override:  func(d *config.Document) { c.override(d, flags) },
		Providers: func(log *slog.Logger) ([]*idp.Provider, error) { return providers(c.Provider, log) },
		Version:   version(),
	})
	if err != nil {
		return printErrors(c.Config, err)
	}
	// server.New may read files that are pipes. Until it returns, a signal must
	// end the process.
	stopsItself(ctx)
	return s.Run(ctx, hangups(ctx))
}

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
	"provider":            {"providers", func(_ *serveCmd, s *config.Settings) { s.Providers = nil }},
	"drain":               {"drain", func(c *serveCmd, s *config.Settings) { s.Drain = c.Drain }},
	"log":                 {"log.format", func(c *serveCmd, s *config.Settings) { s.Log.Format = c.Log }},
	"access-log":          {"log.access", func(c *serveCmd, s *config.Settings) { s.Log.Access = c.AccessLog }},
	"metrics":             {"metrics.listen", func(c *serveCmd, s *config.Settings) { s.Metrics.Listen = c.Metrics }},
	"admin-socket":        {"admin.socket", func(c *serveCmd, s *config.Settings) { s.Admin.Socket = c.AdminSocket }},
	"store":               {"store.url", func(c *serveCmd, s *config.Settings) { s.Store.URL, s.Store.URLFile = c.Store, "" }},
	"cluster-secret-file": {"cluster_secret_file", func(c *serveCmd, s *config.Settings) { s.ClusterSecretFile = c.ClusterSecret }},
	"watch":               {"watch", func(c *serveCmd, s *config.Settings) { s.Watch = c.Watch }},
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
