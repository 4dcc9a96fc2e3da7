package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"wsauth/gateway"
	"wsauth/internal/keyfile"
	"wsauth/token"
)

type serveCmd struct {
	Addr             string        `default:"127.0.0.1:8000" placeholder:"HOST:PORT" help:"Address to listen on (default: ${default}). Port 0 takes a free one."`
	Data             string        `placeholder:"DIR" help:"Folder of the signing key, made on first start (default: wsauth in $$XDG_DATA_HOME or ~/.local/share)."`
	AccessTTL        time.Duration `name:"access-ttl" default:"15m" placeholder:"DURATION" help:"How long an access token, and a socket opened with it, lives: whole seconds, such as 20s, 15m or 1h (default: ${default})."`
	RefreshTTL       time.Duration `name:"refresh-ttl" default:"720h" placeholder:"DURATION" help:"How long a refresh token, and so a login, lives: at most 8784h (default: ${default}, 30 days)."`
	Origin           []string      `placeholder:"URL" help:"Origin under which browsers see this server, such as https://app.example behind a TLS proxy. It replaces the server's own, http://HOST:PORT; repeat for more."`
	Log              string        `enum:"text,json" default:"text" placeholder:"FORMAT" help:"Format of the log on standard error: text or json (default: ${default})."`
	InsecureDemoUser bool          `help:"Let the user test with the password test log in on addresses that other machines can reach."`
}

// Help is the text under "wsauth serve --help".
func (serveCmd) Help() string {
	return `Starts a demonstration: a page at / that logs in and opens an authenticated echo socket, and the API as forms at /docs.
The only user is "test" with the password "test". Ctrl-C or SIGTERM closes every socket with code 1012 and stops within 10 seconds; a second one stops at once.`
}

// Validate checks what the flags mean, in the words of the flags.
func (c *serveCmd) Validate() error {
	var faults []error
	if c.AccessTTL < time.Second || c.AccessTTL%time.Second != 0 {
		faults = append(faults, fmt.Errorf("--access-ttl=%s: must be whole seconds, at least 1s", c.AccessTTL))
	}
	if c.RefreshTTL <= c.AccessTTL || c.RefreshTTL > gateway.MaxTTL || c.RefreshTTL%time.Second != 0 {
		faults = append(faults, fmt.Errorf("--refresh-ttl=%s: must be whole seconds, longer than --access-ttl=%s, and at most %s", c.RefreshTTL, c.AccessTTL, gateway.MaxTTL))
	}
	for _, o := range c.Origin {
		if err := gateway.CheckOrigin(o); err != nil {
			faults = append(faults, fmt.Errorf("--origin: %w", err))
		}
	}
	return errors.Join(faults...)
}

// Run serves until ctx is done.
func (c *serveCmd) Run(ctx context.Context) error {
	log := c.logger()
	listener, err := listen(ctx, c.Addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	if !c.InsecureDemoUser && !onLoopback(listener) {
		return fmt.Errorf("other machines can reach %s, and everybody knows the password of the user test: listen on this machine only (--addr=127.0.0.1:8000), or allow it with --insecure-demo-user", c.Addr)
	}
	key, path, err := c.key()
	if err != nil {
		return err
	}
	g, err := gateway.New(gateway.Config{
		Key:          key,
		Authenticate: gateway.DemoUser,
		AccessTTL:    c.AccessTTL,
		RefreshTTL:   c.RefreshTTL,
		Origins:      c.Origin,
		Logger:       log,
	})
	if err != nil {
		return err
	}
	log.Warn("demonstration: everybody may log in", "user", "test", "password", "test")
	log.Info("listening", "url", "http://"+reachable(listener)+"/", "addr", listener.Addr().String(), "key", path, "access_ttl", c.AccessTTL, "refresh_ttl", c.RefreshTTL)
	return g.Serve(ctx, listener)
}

func (c *serveCmd) logger() *slog.Logger {
	if c.Log == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, nil))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, nil))
}

// key reads the signing key of the data folder, or makes it. It returns the file's path too.
func (c *serveCmd) key() (*token.Key, string, error) {
	dir := c.Data
	if dir == "" {
		var err error
		if dir, err = dataDir(); err != nil {
			return nil, "", fmt.Errorf("no folder for the key: %w; name one with --data", err)
		}
	}
	path := filepath.Join(dir, "key.jwk")
	data, _, err := keyfile.LoadOrCreate(path, newKey)
	if err != nil {
		return nil, "", err
	}
	key, err := token.ParseJWK(data, token.KeyOptions{})
	if err != nil {
		return nil, "", fmt.Errorf("%s holds no key: %w; remove it to have a new one made, which ends every login", path, err)
	}
	return key, path, nil
}

// newKey makes a random key as a JSON Web Key.
func newKey() ([]byte, error) {
	key, err := token.GenerateKey(token.HS256)
	if err != nil {
		return nil, err
	}
	return key.JWK(), nil
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
