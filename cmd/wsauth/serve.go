package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/coreos/go-systemd/v22/daemon"

	"wsauth"
	"wsauth/gateway"
	"wsauth/internal/config"
)

type serveCmd struct {
	Config           string         `env:"WSAUTH_CONFIG" placeholder:"FILE" help:"File that describes routes to upstreams and all else; see \"wsauth config example\". Flags and environment count more than it does. What changes in it counts within two seconds, and at SIGHUP."`
	Addr             string         `default:"127.0.0.1:8000" placeholder:"HOST:PORT" env:"WSAUTH_LISTEN" help:"Address to listen on (default: ${default}). Port 0 takes a free one."`
	TLSCert          string         `name:"tls-cert" placeholder:"FILE" env:"WSAUTH_TLS_CERT" help:"File of the server's certificates, in PEM form: with it and --tls-key the server speaks TLS itself. What changes in the two counts within seconds, and at SIGHUP."`
	TLSKey           string         `name:"tls-key" placeholder:"FILE" env:"WSAUTH_TLS_KEY" help:"File of their private key, which nobody but its owner may read."`
	Data             string         `placeholder:"DIR" env:"WSAUTH_DATA" help:"Folder of the keys, the sessions and what was revoked, made on first start (default: wsauth in $$XDG_DATA_HOME or ~/.local/share)."`
	Keys             string         `placeholder:"DIR" env:"WSAUTH_KEYS" help:"Folder of the keys that sign and verify tokens; \"wsauth keys\" changes it, and what changes counts within seconds. An empty one gets a first key (default: keys in the folder of --data)."`
	Issuer           string         `placeholder:"URL" env:"WSAUTH_ISSUER" help:"Address under which others see this server, such as https://login.example: the iss of its tokens, and where others find its public keys. To change it ends every login (default: none)."`
	Users            string         `placeholder:"FILE" env:"WSAUTH_USERS" help:"File of the users, one name:hash a line, with hashes of argon2id or bcrypt; \"wsauth user\" and \"htpasswd -B\" write it. SIGHUP reads it anew and logs out who has changed. Without it there is the demonstration's user test."`
	AccessTTL        time.Duration  `name:"access-ttl" default:"15m" placeholder:"DURATION" env:"WSAUTH_ACCESS_TTL" help:"How long an access token, and a socket whose session is not refreshed, lives, such as 20s or 1h: whole seconds (default: ${default}). From 1m on, sessions differ in it at random by up to a tenth."`
	RefreshTTL       time.Duration  `name:"refresh-ttl" default:"720h" placeholder:"DURATION" env:"WSAUTH_REFRESH_TTL" help:"How long a refresh token, and so a login that is not used, lives: at most 8784h (default: ${default}, 30 days)."`
	SessionTTL       time.Duration  `name:"session-ttl" default:"2160h" placeholder:"DURATION" env:"WSAUTH_SESSION_TTL" help:"How long a login lives, however much it is used: at least as long as --refresh-ttl (default: ${default}, 90 days)."`
	RefreshGrace     time.Duration  `default:"10s" placeholder:"DURATION" env:"WSAUTH_REFRESH_GRACE" help:"How long after a refresh the old refresh token may be used once more, because the answer was lost: at most 1m; 0s is not at all (default: ${default})."`
	MaxSockets       int            `default:"100" placeholder:"N" env:"WSAUTH_MAX_SOCKETS" help:"How many sockets one user may have open; one more ends the oldest (default: ${default}). 0 is no limit."`
	Origin           []string       `placeholder:"URL" env:"WSAUTH_ORIGIN" help:"Origin under which browsers see this server, such as https://app.example behind a TLS proxy. It replaces the server's own, http://HOST:PORT; repeat for more."`
	Provider         []providerFlag `sep:"none" placeholder:"PAIRS" env:"WSAUTH_PROVIDER" help:"Identity provider whose access tokens are accepted too, as preset=PRESET,issuer=URL,audience=NAME; repeat for more. Presets: auth0, cognito, entra, google, keycloak, okta, standard. See docs/identity-providers.md."`
	Drain            time.Duration  `default:"10s" placeholder:"DURATION" env:"WSAUTH_DRAIN" help:"How long the server takes at most to end when it is told to: for half of it, or less, it closes one socket after the other (default: ${default})."`
	Log              string         `enum:"text,json" default:"text" placeholder:"FORMAT" env:"WSAUTH_LOG" help:"Format of the log on standard error: text or json (default: ${default})."`
	AccessLog        bool           `env:"WSAUTH_ACCESS_LOG" help:"Log each request, and each socket at its begin and its end, without queries and credentials."`
	Metrics          string         `placeholder:"HOST:PORT" env:"WSAUTH_METRICS" help:"Address for /metrics, /livez and /readyz, which everybody who reaches it can read, such as 127.0.0.1:9090 (default: none; the last two are on --addr as well)."`
	AdminSocket      string         `placeholder:"PATH" env:"WSAUTH_ADMIN_SOCKET" help:"Unix socket for \"wsauth sessions\", \"wsauth revoke\" and \"wsauth status\", which only the user of the server can open; off for none (default: admin.sock in the folder of --data)."`
	InsecureDemoUser bool           `env:"WSAUTH_INSECURE_DEMO_USER" help:"Let the user test with the password test log in on addresses that other machines can reach."`
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
	document, err := f.read()
	if err != nil {
		return err
	}
	s := document.Settings
	log := f.logger(s.Log)
	f.maker = config.Maker{Logger: log, Files: true}
	described, err := f.maker.Make(document)
	if err != nil {
		return tellFaults(c.Config, err)
	}
	if len(c.Provider) > 0 {
		if described.Providers, err = providers(c.Provider, log); err != nil {
			return err
		}
	}
	for _, w := range document.Warnings() {
		log.Warn("insecure", "setting", w)
	}
	scheme := "http"
	if s.TLS.Cert != "" {
		certificate, err := openCertificate(s.TLS, log)
		if err != nil {
			return err
		}
		defer certificate.follow(ctx)()
		described.Certificate, scheme = certificate.Get, "https"
	}
	sockets, err := passedSockets()
	if err != nil {
		return err
	}
	listener := sockets.clients
	if listener == nil {
		if listener, err = listen(ctx, s.Listen); err != nil {
			return err
		}
	}
	defer listener.Close()
	demo := s.Users == "" && (len(s.Routes) == 0 || s.InsecureDemoUser)
	if demo && !s.InsecureDemoUser && !onLoopback(listener) {
		return fmt.Errorf("other machines can reach %s, and everybody knows the password of the user test: name your users with --users=FILE, listen on this machine only (--addr=127.0.0.1:8000), or allow it with --insecure-demo-user", listener.Addr())
	}
	dir, err := folder(s.Data)
	if err != nil {
		return err
	}
	if err := makeFolder(dir); err != nil {
		return err
	}
	keys, err := openKeys(ctx, s.Keys, dir, log)
	if err != nil {
		return err
	}
	var users *userFile
	if s.Users != "" {
		if users, err = openUsers(s.Users, dir, log); err != nil {
			return err
		}
	}
	state, err := openStore(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	described.Keys, described.Store = keys, state
	switch {
	case users != nil:
		described.Authenticate = users.Authenticate
	case demo:
		described.Authenticate = gateway.DemoUser
	}
	g, err := gateway.New(described)
	if err != nil {
		return err
	}
	if err := begin(ctx, g, users, filepath.Join(dir, seenName)); err != nil {
		return errors.Join(err, g.Shutdown(ctx))
	}
	switch {
	case users != nil:
		log.Info("users", "file", s.Users, "users", users.Len())
		defer users.follow(ctx, g)()
	case demo:
		log.Warn("demonstration: everybody may log in", "user", "test", "password", "test")
	default:
		log.Info("nobody logs in here, for there are no users")
	}
	stop, err := serveOperations(ctx, s.Metrics.Listen, sockets.metrics, g, log)
	if err != nil {
		return errors.Join(err, g.Shutdown(ctx))
	}
	defer stop()
	stopAdmin, err := administer(ctx, g, s.Admin, dir, log)
	if err != nil {
		return errors.Join(err, g.Shutdown(ctx))
	}
	defer stopAdmin()
	f.running, f.gateway, f.log = s, g, log
	defer f.follow(ctx)()
	watching, unwatch := context.WithCancel(ctx)
	watched := sync.WaitGroup{}
	watched.Go(func() { keys.Watch(watching) })
	defer watched.Wait()
	defer unwatch()
	log.Info("listening", "url", scheme+"://"+reachable(listener)+"/", "addr", listener.Addr().String(), "data", dir,
		"access_ttl", s.AccessTTL, "refresh_ttl", s.RefreshTTL, "session_ttl", s.SessionTTL, "refresh_grace", s.RefreshGrace, "max_sockets", s.MaxSockets,
		"routes", len(s.Routes))
	defer keepAlive(g, log)()
	defer tellEnding(ctx, log, s.Drain)()
	tell(log, daemon.SdNotifyReady)
	return g.Serve(ctx, listener)
}

// listen opens the address, and says what to do when it cannot.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := gateway.Listen(ctx, addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("another program listens on %s already: stop it, or choose another port with --addr=HOST:PORT (port 0 takes a free one)", addr)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("this user may not listen on %s: choose a port above 1023 with --addr=HOST:PORT", addr)
	case err != nil:
		return nil, fmt.Errorf("--addr=%s: %w; it must be HOST:PORT, such as 127.0.0.1:8000", addr, err)
	}
	return l, nil
}

// onLoopback reports whether only this machine can reach l.
func onLoopback(l net.Listener) bool {
	addr, ok := l.Addr().(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}

// reachable is the address of l as a browser on this machine can open it: "localhost" where l listens on all addresses.
func reachable(l net.Listener) string {
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok || !addr.IP.IsUnspecified() {
		return l.Addr().String()
	}
	return net.JoinHostPort("localhost", strconv.Itoa(addr.Port))
}
