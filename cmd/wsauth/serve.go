package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/coreos/go-systemd/v22/daemon"

	"wsauth"
	"wsauth/gateway"
	"wsauth/internal/config"
)

type serveCmd struct {
	Config           string         `env:"WSAUTH_CONFIG" placeholder:"FILE" help:"File that describes routes to upstreams and all else; see \"wsauth config example\". Flags and environment count more than it does. It is read anew when another is renamed onto it, unless --no-watch, at SIGHUP, and by \"wsauth reload\"."`
	Addr             string         `default:"127.0.0.1:8000" placeholder:"HOST:PORT" env:"WSAUTH_LISTEN" help:"Address to listen on (default: ${default}). Port 0 takes a free one."`
	TLSCert          string         `name:"tls-cert" placeholder:"FILE" env:"WSAUTH_TLS_CERT" help:"File of the server's certificates, in PEM form: with it and --tls-key the server speaks TLS itself. What changes in the two counts within seconds, and at SIGHUP."`
	TLSKey           string         `name:"tls-key" placeholder:"FILE" env:"WSAUTH_TLS_KEY" help:"File of their private key, which nobody but its owner may read."`
	Data             string         `placeholder:"DIR" env:"WSAUTH_DATA" help:"Folder of the keys, the sessions and what was revoked, made on first start (default: wsauth in $$XDG_DATA_HOME or ~/.local/share)."`
	Keys             string         `placeholder:"DIR" env:"WSAUTH_KEYS" help:"Folder of the keys that sign and verify tokens; \"wsauth keys\" changes it, and what changes counts within seconds. An empty one gets a first key (default: keys in the folder of --data)."`
	Issuer           string         `placeholder:"URL" env:"WSAUTH_ISSUER" help:"Address under which others see this server, such as https://login.example: the iss of its tokens, and where others find its public keys. To change it ends every login (default: none)."`
	Users            string         `placeholder:"FILE" env:"WSAUTH_USERS" help:"File of the users, one name:hash a line, with hashes of argon2id or bcrypt; \"wsauth user\" and \"htpasswd -B\" write it. It is read anew when another is renamed onto it, unless --no-watch, at SIGHUP, and by \"wsauth reload\", and who has changed is logged out. Without it nobody logs in here, or without routes the demonstration's user test does."`
	AccessTTL        time.Duration  `name:"access-ttl" default:"15m" placeholder:"DURATION" env:"WSAUTH_ACCESS_TTL" help:"How long an access token, and a socket whose session is not refreshed, lives, such as 20s or 1h: whole seconds (default: ${default}). From 1m on, sessions differ in it at random by up to a tenth."`
	RefreshTTL       time.Duration  `name:"refresh-ttl" default:"720h" placeholder:"DURATION" env:"WSAUTH_REFRESH_TTL" help:"How long a refresh token, and so a login that is not used, lives: at most 8784h (default: ${default}, 30 days)."`
	SessionTTL       time.Duration  `name:"session-ttl" default:"2160h" placeholder:"DURATION" env:"WSAUTH_SESSION_TTL" help:"How long a login lives, however much it is used: at least as long as --refresh-ttl (default: ${default}, 90 days)."`
	RefreshGrace     time.Duration  `default:"10s" placeholder:"DURATION" env:"WSAUTH_REFRESH_GRACE" help:"How long after a refresh the old refresh token may be used once more, because the answer was lost: at most 1m; 0s is not at all (default: ${default})."`
	RefreshRetry     time.Duration  `default:"24h" placeholder:"DURATION" env:"WSAUTH_REFRESH_RETRY" help:"How long after a refresh its request may be repeated with the same Idempotency-Key, because the answer was lost; it ends earlier, as soon as the new refresh token is used: at most 24h; 0s is not at all (default: ${default})."`
	MaxSockets       int            `default:"100" placeholder:"N" env:"WSAUTH_MAX_SOCKETS" help:"How many sockets one user may have open (default: ${default}). 0 is no limit."`
	Origin           []string       `placeholder:"URL" env:"WSAUTH_ORIGIN" help:"Origin under which browsers see this server, such as https://app.example. It replaces the server's own, http://HOST:PORT; repeat for more."`
	TrustedProxies   []string       `placeholder:"NETWORK" env:"WSAUTH_TRUSTED_PROXIES" help:"Proxy in front that is believed when it says who its clients are: an address, a network such as 10.0.0.0/8, private (the private networks and this machine) or unix (the clients of a Unix socket); separate several with commas. See docs/behind-a-proxy.md."`
	ForwardedSource  string         `enum:"x-forwarded-for,forwarded,proxy_protocol" default:"x-forwarded-for" placeholder:"SOURCE" env:"WSAUTH_FORWARDED_SOURCE" help:"Where it says it: x-forwarded-for, forwarded (RFC 7239) or proxy_protocol, with which every connection must begin then (default: ${default})."`
	ForwardedScheme  string         `enum:",http,https" default:"" placeholder:"SCHEME" env:"WSAUTH_FORWARDED_SCHEME" help:"Scheme of every request that it passes on, http or https, for a proxy that ends TLS and does not say so (default: as it says)."`
	Provider         []providerFlag `sep:"none" placeholder:"PAIRS" env:"WSAUTH_PROVIDER" help:"Identity provider whose access tokens are accepted too, as preset=PRESET,issuer=URL,audience=NAME; repeat for more. Presets: auth0, cognito, entra, google, keycloak, okta, standard. See docs/identity-providers.md."`
	Drain            time.Duration  `default:"10s" placeholder:"DURATION" env:"WSAUTH_DRAIN" help:"How long the server takes at most to end when it is told to: for half of it, or less, it closes one socket after the other (default: ${default})."`
	Log              string         `enum:"text,json" default:"text" placeholder:"FORMAT" env:"WSAUTH_LOG" help:"Format of the log on standard error: text or json (default: ${default})."`
	AccessLog        bool           `env:"WSAUTH_ACCESS_LOG" help:"Log each request, and each socket at its begin and its end, without queries and credentials."`
	Metrics          string         `placeholder:"HOST:PORT" env:"WSAUTH_METRICS" help:"Address for /metrics, /livez and /readyz, which everybody who reaches it can read, such as 127.0.0.1:9090 (default: none; the last two are on --addr as well)."`
	AdminSocket      string         `placeholder:"PATH" env:"WSAUTH_ADMIN_SOCKET" help:"Unix socket for \"wsauth sessions\", \"wsauth revoke\" and the other commands that ask a running server, which only the user of the server can open; off for none (default: admin.sock in the folder of --data)."`
	Watch            bool           `default:"true" negatable:"" env:"WSAUTH_WATCH" help:"Watch the files of --config, of --users and of the operators' token, and read one anew within a second when another is renamed onto it (default: ${default}). With --no-watch they are read anew at SIGHUP and by \"wsauth reload\" only."`
	InsecureDemoUser bool           `env:"WSAUTH_INSECURE_DEMO_USER" help:"Let the user test with the password test log in on addresses that other machines can reach."`

	InsecureAcceptLostRevocations bool `env:"WSAUTH_INSECURE_ACCEPT_LOST_REVOCATIONS" help:"Where the store was removed, or replaced by another or an older copy, do not revoke all that began until now: what was revoked before is good again."`
}

// Help is the text under "wsauth serve --help".
func (serveCmd) Help() string {
	return `With --config it stands in front of other servers. Without it there is a page at / that logs in and opens an authenticated echo socket, and the API as forms at /docs; without --users that is a demonstration, whose only user is "test" with the password "test". Ctrl-C or SIGTERM closes every socket with code 1012, one after the other, and stops within the time of --drain; a second one stops at once. Logins and logouts survive a restart.`
}

// Validate checks what the flags mean, in the words of the flags. With a file, only both together mean something; see settings.
func (c *serveCmd) Validate() error {
	if c.Config != "" {
		return nil
	}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.AccessTTL < time.Second || c.AccessTTL%time.Second != 0 {
		fault("--access-ttl=%s: must be whole seconds, at least 1s", c.AccessTTL)
	}
	if c.RefreshTTL <= c.AccessTTL || c.RefreshTTL > gateway.MaxTTL || c.RefreshTTL%time.Second != 0 {
		fault("--refresh-ttl=%s: must be whole seconds, longer than --access-ttl=%s, and at most %s", c.RefreshTTL, c.AccessTTL, gateway.MaxTTL)
	}
	if c.SessionTTL < c.RefreshTTL || c.SessionTTL > gateway.MaxSessionTTL || c.SessionTTL%time.Second != 0 {
		fault("--session-ttl=%s: must be whole seconds, at least --refresh-ttl=%s, and at most %s", c.SessionTTL, c.RefreshTTL, gateway.MaxSessionTTL)
	}
	if c.RefreshGrace < 0 || c.RefreshGrace > gateway.MaxRefreshGrace {
		fault("--refresh-grace=%s: must be from 0s to %s", c.RefreshGrace, gateway.MaxRefreshGrace)
	}
	if c.RefreshRetry < 0 || c.RefreshRetry > gateway.MaxRefreshRetry {
		fault("--refresh-retry=%s: must be from 0s to %s", c.RefreshRetry, gateway.MaxRefreshRetry)
	}
	if c.MaxSockets < 0 {
		fault("--max-sockets=%d: must be 0, for no limit, or more", c.MaxSockets)
	}
	if c.Users != "" && c.InsecureDemoUser {
		fault("--insecure-demo-user: with --users there is no such user; leave one of the two out")
	}
	if c.Issuer != "" {
		if err := gateway.CheckIssuer(c.Issuer); err != nil {
			fault("--issuer=%s: %w", c.Issuer, err)
		}
	}
	for _, o := range c.Origin {
		if err := wsauth.CheckOrigin(o); err != nil {
			fault("--origin: %w", err)
		}
	}
	return errors.Join(faults...)
}

// Run serves until ctx is done.
func (c *serveCmd) Run(ctx context.Context, flags *kong.Context) (err error) {
	f := &followed{command: c, flags: flags}
	if c.Config != "" {
		f.watcher = config.NewWatcher(c.Config)
	}
	document, err := f.read(ctx)
	if err != nil {
		return err
	}
	s := document.Settings
	signal.Ignore(syscall.SIGPIPE) // where the reader of the log is gone, sockets are to stay
	log, flush := f.logger(s.Log)
	defer flush()
	f.maker = config.Maker{Logger: log, Files: true, DataDir: defaultFolder()}
	described, err := f.maker.Make(document)
	if err != nil {
		return tellFaults(c.Config, err)
	}
	if len(c.Provider) > 0 {
		if described.Providers, err = providers(c.Provider, log); err != nil {
			return err
		}
	}
	logWarnings(log, document, described)
	reloads := newReloader(ctx, log)
	v := &serving{settings: s, described: described, log: log, reloads: reloads}
	defer func() { err = errors.Join(err, v.close()) }()
	if err := v.open(ctx); err != nil {
		return err
	}
	f.running, f.routes, f.gateway, f.log = s, len(s.Routes), v.gateway, log
	if p := f.part(); p != nil {
		reloads.add(p)
	}
	defer reloads.follow(ctx)()
	log.Info("listening", "url", v.url(), "addr", v.listener.Addr().String(), "data", v.dir,
		"access_ttl", s.AccessTTL, "refresh_ttl", s.RefreshTTL, "session_ttl", s.SessionTTL, "refresh_grace", s.RefreshGrace, "refresh_retry", s.RefreshRetry, "max_sockets", s.MaxSockets,
		"routes", len(s.Routes))
	defer keepAlive(v.gateway, log)()
	defer tellEnding(ctx, log, s.Drain)()
	tell(log, daemon.SdNotifyReady)
	return v.serve(ctx)
}
