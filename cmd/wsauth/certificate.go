package main

import (
	"context"
	"log/slog"
	"time"

	"wsauth/gateway"
	"wsauth/internal/certfile"
	"wsauth/internal/config"
	"wsauth/internal/errtext"
)

// A certificate is the TLS certificate of "wsauth serve", with watchers for
// its files.
type certificate struct {
	*certfile.Pair
	files    config.TLS
	watchers [2]*config.Watcher
	log      *slog.Logger
}

// openCertificate reads the files tls.cert and tls.key.
func openCertificate(files config.TLS, log *slog.Logger) (*certificate, error) {
	watchers := [2]*config.Watcher{config.NewWatcher(files.Cert), config.NewWatcher(files.Key)}
	pair, err := certfile.Open(files.Cert, files.Key)
	if err != nil {
		return nil, err
	}
	c := &certificate{pair, files, watchers, log}
	c.tell()
	return c, nil
}

// part returns the certificate as a part of the reloader. Changes in place are
// applied, because programs that renew certificates make them. While the two
// files do not match, or one is incomplete, the previous certificate remains
// in use.
func (c *certificate) part() *part {
	return &part{name: "certificate", file: c.files.Cert, watchers: c.watchers[:], inPlace: true, reload: c.reload}
}

func (c *certificate) reload(ctx context.Context, _ reloading) (done gateway.AdminReloaded) {
	if _, err := await(ctx, func() (struct{}, error) { return struct{}{}, c.Reload() }); err != nil {
		c.log.Error("the certificate is unchanged", "err", err)
		done.Faults = append(done.Faults, errtext.Of(err))
		return done
	}
	c.tell()
	done.Changed = append(done.Changed, c.files.Cert+": read, valid until "+c.Leaf().NotAfter.UTC().Format(time.RFC3339))
	return done
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
