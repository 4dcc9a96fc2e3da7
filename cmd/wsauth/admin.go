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
	"wsauth/internal/errtext"
)

// adminSocket is the path of the socket of the operators: the one that was named, or that of the data folder; "" is none.
func adminSocket(named, data string) string {
	if named == config.Off {
		return ""
	}
	return cmp.Or(named, filepath.Join(data, config.AdminSocketName))
}

// administer begins to serve operators, until stop is called, which returns when that has ended: they may be needed while the server
// stops.
func administer(ctx context.Context, g *gateway.Gateway, all config.Settings, data string, reloads *reloader, log *slog.Logger) (stop func(), err error) {
	s := all.Admin
	var listeners []net.Listener
	defer func() {
		if err != nil {
			for _, l := range listeners {
				_ = l.Close() // the error says enough
			}
		}
	}()
	c := gateway.AdminConfig{Version: version(), Host: s.Host, Reload: reloads.ask}
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
		p := &part{name: "token of the operators", file: s.TokenFile, reload: func(context.Context, reloading) gateway.AdminReloaded {
			return readToken(c.TokenFile, s.TokenFile, log)
		}}
		if all.Watch {
			p.watchers = []*config.Watcher{watcher}
		}
		reloads.add(p)
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
		cancel()
		serving.Wait()
	}, nil
}

// readToken takes another token of the operators, if there is one.
func readToken(file *gateway.AdminTokenFile, name string, log *slog.Logger) (done gateway.AdminReloaded) {
	changed, err := file.Reload()
	switch {
	case err != nil:
		log.Error("the token of the operators stays as it was", "err", err)
		done.Faults = append(done.Faults, errtext.Of(err))
	case changed:
		log.Info("there is another token of the operators")
		done.Changed = append(done.Changed, name+": read, another token counts")
	default:
		done.Changed = append(done.Changed, name+": read, the same token counts")
	}
	return done
}
