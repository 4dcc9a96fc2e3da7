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
	"wsauth/internal/gateway/front"
)

// adminSocket returns the path of the operators' socket: named, or the default
// in the data folder, or "" if it is off.
func adminSocket(named, data string) string {
	if named == config.Off {
		return ""
	}
	return cmp.Or(named, filepath.Join(data, config.AdminSocketName))
}

// administer serves operators until stop is called. stop returns after that
// has ended; it should be called last, because operators may need the server
// while it stops.
func administer(ctx context.Context, g *gateway.Gateway, all config.Settings, data string, reloads *reloader, log *slog.Logger) (stop func(), err error) {
	s := all.Admin
	var listeners []net.Listener
	defer func() {
		if err != nil {
			for _, l := range listeners {
				_ = l.Close() // the other error is more important
			}
		}
	}()
	c := gateway.AdminConfig{Version: version(), Host: s.Host, Reload: reloads.ask}
	if path := adminSocket(s.Socket, data); path != "" {
		l, err := gateway.ListenPrivate(ctx, path)
		switch {
		case errors.Is(err, gateway.ErrInUse):
			return nil, fmt.Errorf("%w: stop it, or choose another socket with --admin-socket=PATH", err)
		case err != nil:
			return nil, fmt.Errorf("the operators' socket: %w; choose another with --admin-socket=PATH, or disable it with --admin-socket=off", err)
		}
		listeners = append(listeners, l)
	}
	if s.Listen != "" {
		watcher := config.NewWatcher(s.TokenFile)
		if c.TokenFile, err = gateway.OpenAdminTokenFile(s.TokenFile); err != nil {
			return nil, fmt.Errorf("admin.token_file: %w", err)
		}
		l, err := front.Listen(ctx, s.Listen)
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

// readToken reads the operators' token again.
func readToken(file *gateway.AdminTokenFile, name string, log *slog.Logger) (done gateway.AdminReloaded) {
	changed, err := file.Reload()
	switch {
	case err != nil:
		log.Error("the operators' token is unchanged", "err", err)
		done.Faults = append(done.Faults, errtext.Of(err))
	case changed:
		log.Info("the operators' token was replaced")
		done.Changed = append(done.Changed, name+": read, the new token is in effect")
	default:
		done.Changed = append(done.Changed, name+": read, the token is unchanged")
	}
	return done
}
