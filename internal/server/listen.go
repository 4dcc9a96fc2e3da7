package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"syscall"
	"time"

	"wsauth/internal/adminapi"
	"wsauth/internal/await"
	"wsauth/internal/certfile"
	"wsauth/internal/config"
	"wsauth/internal/errtext"
	"wsauth/internal/gateway/front"
)

// listen opens the listener for clients, or takes it from the service manager.
// It refuses to serve the demonstration's user to other machines.
func (s *Server) listen(ctx context.Context) error {
	passed, err := takeSockets()
	if err != nil {
		return err
	}
	address := s.settings.Listen
	s.listener, s.metrics = passed.clients, passed.metrics
	if s.listener != nil {
		address = s.listener.Addr().String()
		if text := s.settings.PlainHTTP(address); text != "" && s.settings.PlainHTTP(s.settings.Listen) == "" && s.listener.Addr().Network() == "tcp" {
			// The warnings about the settings do not cover this address.
			s.log.Warn("insecure", "setting", text)
		}
	} else if s.listener, err = listenAt(ctx, address); err != nil {
		return err
	}
	s.onClose(func() { _ = s.listener.Close() }) // the gateway may have closed it
	if !s.hasDemoUser() || s.settings.InsecureDemoUser {
		return nil
	}
	if len(s.settings.TrustedProxies) > 0 {
		return errors.New("trusted_proxies: other machines reach the server through a proxy, and everybody knows the password of the user test: set your users with --users=FILE, or allow it with --insecure-demo-user")
	}
	if !isLoopback(s.listener) {
		return fmt.Errorf("other machines can reach %s, and everybody knows the password of the user test: set your users with --users=FILE, listen on this machine only (--addr=127.0.0.1:8000), or allow it with --insecure-demo-user", address)
	}
	return nil
}

// listenAt listens on address. Its errors say what to do.
func listenAt(ctx context.Context, address string) (net.Listener, error) {
	l, err := front.Listen(ctx, address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("another program already listens on %s: stop it, or choose another port with --addr=HOST:PORT (port 0 chooses a free one)", address)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("this user is not allowed to listen on %s: choose a port above 1023 with --addr=HOST:PORT", address)
	case err != nil:
		return nil, fmt.Errorf("--addr=%s: %w", address, err)
	}
	return l, nil
}

// hasDemoUser reports whether the demonstration's user may log in. Its password
// is public.
func (s *Server) hasDemoUser() bool {
	return s.settings.Users == "" && (len(s.settings.Routes) == 0 || s.settings.InsecureDemoUser)
}

// url returns the URL of the server for this machine.
func (s *Server) url() string {
	if s.assembly.Front.Certificate != nil {
		return "https://" + localAddress(s.listener) + "/"
	}
	return "http://" + localAddress(s.listener) + "/"
}

// isLoopback reports whether only this machine can reach l.
func isLoopback(l net.Listener) bool {
	addr, ok := l.Addr().(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}

// localAddress returns the address of l for programs on this machine, with the
// host "localhost" if l listens on all addresses.
func localAddress(l net.Listener) string {
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok || !addr.IP.IsUnspecified() {
		return l.Addr().String()
	}
	return net.JoinHostPort("localhost", strconv.Itoa(addr.Port))
}

// A certificate is the TLS certificate of the server, with watchers for its
// files.
type certificate struct {
	*certfile.Pair
	files    config.TLS
	watchers []*config.Watcher
	log      *slog.Logger
}

// openCertificate reads the files tls.cert and tls.key, if they are set.
func (s *Server) openCertificate(ctx context.Context) error {
	files := s.settings.TLS
	if files.Cert == "" {
		return nil
	}
	c := &certificate{files: files, log: s.log, watchers: []*config.Watcher{config.NewWatcher(files.Cert), config.NewWatcher(files.Key)}}
	var err error
	if c.Pair, err = await.Do(ctx, func() (*certfile.Pair, error) { return certfile.Open(files.Cert, files.Key) }); err != nil {
		return err
	}
	c.logValidity()
	s.assembly.Front.Certificate = c.Get
	s.reloads.add(c.part())
	return nil
}

// part returns the certificate as a part of the reloader. Changes in place are
// applied, because programs that renew certificates make them. While the two
// files do not match, or one is incomplete, the previous certificate remains
// in use.
func (c *certificate) part() *part {
	return &part{name: "certificate", file: c.files.Cert, watchers: c.watchers, inPlace: true, reload: c.reload}
}

func (c *certificate) reload(ctx context.Context, _ reloadRequest) (done adminapi.Reloaded) {
	if _, err := await.Do(ctx, func() (struct{}, error) { return struct{}{}, c.Reload() }); err != nil {
		c.log.Error("the certificate is unchanged", "error", err)
		done.Errors = append(done.Errors, errtext.Of(err))
		return done
	}
	c.logValidity()
	done.Changed = append(done.Changed, c.files.Cert+": read, valid until "+c.Leaf().NotAfter.UTC().Format(time.RFC3339))
	return done
}

// logValidity logs which certificate is in use, and until when it is valid.
func (c *certificate) logValidity() {
	leaf := c.Leaf()
	log := c.log.With("names", leaf.DNSNames, "addresses", leaf.IPAddresses, "until", leaf.NotAfter)
	if time.Now().After(leaf.NotAfter) {
		log.Warn("the certificate has expired")
		return
	}
	log.Info("certificate read")
}
