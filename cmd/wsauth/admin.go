package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"

	"wsauth/gateway"
	"wsauth/internal/config"
)

// adminName is the socket of the operators in the data folder.
const adminName = "admin.sock"

// adminSocket is the path of the socket of the operators: the one that was named, or that of the data folder; "" is none.
func adminSocket(named, data string) string {
	if named == config.Off {
		return ""
	}
	return cmp.Or(named, filepath.Join(data, adminName))
}

// administer begins to serve operators, until stop is called, which returns when that has ended: they may be needed while the server
// stops.
func administer(ctx context.Context, g *gateway.Gateway, s config.Admin, data string, log *slog.Logger) (stop func(), err error) {
	var listeners []net.Listener
	defer func() {
		if err != nil {
			for _, l := range listeners {
				_ = l.Close() // the error says enough
			}
		}
	}()
	c := gateway.AdminConfig{Version: version(), Host: s.Host}
	unfollow := func() {}
	if path := adminSocket(s.Socket, data); path != "" {
		l, err := gateway.ListenPrivate(ctx, path)
		switch {
		case errors.Is(err, gateway.ErrInUse):
			return nil, fmt.Errorf("%w: stop it, or name another socket with --admin-socket=PATH", err)
		case err != nil:
			return nil, fmt.Errorf("the socket of the operators: %w; name another with --admin-socket=PATH, or do without: --admin-socket=off", err)
		}
		listeners = append(listeners, l)
	}
	if s.Listen != "" {
		watcher := config.NewWatcher(s.TokenFile)
		if c.TokenFile, err = gateway.OpenAdminTokenFile(s.TokenFile); err != nil {
			return nil, fmt.Errorf("admin.token_file: %w", err)
		}
		l, err := gateway.Listen(ctx, s.Listen)
		if err != nil {
			return nil, fmt.Errorf("admin.listen: %w", err)
		}
		listeners = append(listeners, l)
		if !onLoopback(l) {
			return nil, fmt.Errorf("admin.listen: other machines can reach %s: name an address of this machine only, such as 127.0.0.1:9091", s.Listen)
		}
		unfollow = onChange(ctx, func() { readToken(c.TokenFile, log) }, watcher)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var serving sync.WaitGroup
	for _, l := range listeners {
		of := c
		if l.Addr().Network() == "unix" {
			of.TokenFile = nil
		}
		log.Info("operators are served", "at", l.Addr().String())
		serving.Go(func() {
			if err := g.ServeAdmin(ctx, l, of); err != nil {
				log.Error("operators are served no more", "at", l.Addr().String(), "err", err)
			}
		})
	}
	return func() {
		unfollow()
		cancel()
		serving.Wait()
	}, nil
}

// readToken takes another token of the operators, if there is one.
func readToken(file *gateway.AdminTokenFile, log *slog.Logger) {
	changed, err := file.Reload()
	switch {
	case err != nil:
		log.Error("the token of the operators stays as it was", "err", err)
	case changed:
		log.Info("there is another token of the operators")
	}
}
