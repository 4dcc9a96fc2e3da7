package main

import (
	"context"
	"log/slog"
	"time"

	"wsauth/internal/certfile"
	"wsauth/internal/config"
)

// A certificate is that of "wsauth serve" over TLS, with what tells that its files have changed.
type certificate struct {
	*certfile.Pair
	watchers [2]*config.Watcher
	log      *slog.Logger
}

// openCertificate reads the files of tls.cert and tls.key.
func openCertificate(files config.TLS, log *slog.Logger) (*certificate, error) {
	watchers := [2]*config.Watcher{config.NewWatcher(files.Cert), config.NewWatcher(files.Key)}
	pair, err := certfile.Open(files.Cert, files.Key)
	if err != nil {
		return nil, err
	}
	c := &certificate{pair, watchers, log}
	c.tell()
	return c, nil
}

// follow begins to take the certificate anew when one of its files has changed and at each SIGHUP, until ctx is done or stop is called.
func (c *certificate) follow(ctx context.Context) (stop func()) {
	return onChange(ctx, c.reload, c.watchers[:]...)
}

func (c *certificate) reload() {
	if err := c.Reload(); err != nil {
		c.log.Error("the certificate stays as it was", "err", err)
		return
	}
	c.tell()
}

// tell logs which certificate is in use.
func (c *certificate) tell() {
	leaf := c.Leaf()
	log := c.log.With("names", leaf.DNSNames, "addresses", leaf.IPAddresses, "until", leaf.NotAfter)
	if time.Now().After(leaf.NotAfter) {
		log.Warn("the certificate has expired")
		return
	}
	log.Info("certificate read")
}
