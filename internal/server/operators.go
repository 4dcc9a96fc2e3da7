package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"wsauth/internal/adminapi"
	"wsauth/internal/config"
	"wsauth/internal/connlimit"
	"wsauth/internal/errtext"
	"wsauth/internal/gateway/admin"
	"wsauth/internal/gateway/front"
	"wsauth/internal/privatesock"
)

// openOperators starts the services for operators. They run until the gateway
// has shut down, so that operators can watch it.
func (s *Server) openOperators(ctx context.Context) error {
	if err := s.serveMetrics(ctx); err != nil {
		return err
	}
	return s.serveAdmin(ctx)
}

// serveMetrics serves metrics and health checks, on the socket of the service
// manager or at the configured address, if either is set.
func (s *Server) serveMetrics(ctx context.Context) (err error) {
	listener, address := s.metrics, s.settings.Metrics.Listen
	if listener == nil && address == "" {
		return nil
	}
	if listener == nil {
		if listener, err = new(net.ListenConfig).Listen(ctx, "tcp", address); err != nil {
			return fmt.Errorf("--metrics=%s: %w", address, err)
		}
	}
	server := &http.Server{
		Handler:           s.gateway.Operations(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second, // longer than collecting metrics takes
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(connlimit.Bound(server, listener)) }()
	s.log.Info("metrics and health", "metrics", "http://"+localAddress(listener)+"/metrics")
	s.onClose(func() {
		if err := errors.Join(server.Close(), <-served); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("metrics and health", "error", err)
		}
	})
	return nil
}

// serveAdmin serves the API for operators, on its socket and its port.
func (s *Server) serveAdmin(ctx context.Context) (err error) {
	var listeners []net.Listener
	defer func() {
		if err != nil {
			for _, l := range listeners {
				_ = l.Close() // err is more important
			}
		}
	}()
	c := admin.Config{Version: s.version, Host: s.settings.Admin.Host, Reload: s.reloads.order}
	if path := AdminSocket(s.settings.Admin.Socket, s.dir); path != "" {
		l, err := privatesock.Listen(ctx, path)
		switch {
		case errors.Is(err, privatesock.ErrInUse):
			return fmt.Errorf("%w: stop it, or choose another socket with --admin-socket=PATH", err)
		case err != nil:
			return fmt.Errorf("the operators' socket: %w; choose another with --admin-socket=PATH, or disable it with --admin-socket=off", err)
		}
		listeners = append(listeners, l)
	}
	if s.settings.Admin.Listen != "" {
		var l net.Listener
		if l, c.TokenFile, err = s.listenAdmin(ctx); err != nil {
			return err
		}
		listeners = append(listeners, l)
	}
	api, err := s.gateway.Admin(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var serving sync.WaitGroup
	for _, l := range listeners {
		s.log.Info("operators are served", "addr", l.Addr().String())
		serving.Go(func() {
			if err := api.Serve(ctx, l); err != nil {
				s.log.Error("operators are no longer served", "addr", l.Addr().String(), "error", err)
			}
		})
	}
	s.onClose(func() {
		cancel()
		serving.Wait()
	})
	return nil
}

// listenAdmin opens the port for operators, and the file with their token.
func (s *Server) listenAdmin(ctx context.Context) (net.Listener, *admin.TokenFile, error) {
	settings := s.settings.Admin
	watcher := config.NewWatcher(settings.TokenFile)
	file, err := admin.OpenTokenFile(settings.TokenFile)
	if err != nil {
		return nil, nil, fmt.Errorf("admin.token_file: %w", err)
	}
	l, err := front.Listen(ctx, settings.Listen)
	if err != nil {
		return nil, nil, fmt.Errorf("admin.listen: %w", err)
	}
	if !isLoopback(l) {
		_ = l.Close()
		return nil, nil, fmt.Errorf("admin.listen: other machines can reach %s: name an address of this machine only, such as 127.0.0.1:9091", settings.Listen)
	}
	p := &part{name: "token of the operators", file: settings.TokenFile, reload: func(context.Context, reloadRequest) adminapi.Reloaded {
		return reloadToken(file, settings.TokenFile, s.log)
	}}
	if s.settings.Watch {
		p.watchers = []*config.Watcher{watcher}
	}
	s.reloads.add(p)
	return l, file, nil
}

// reloadToken reads the operators' token again.
func reloadToken(file *admin.TokenFile, name string, log *slog.Logger) (done adminapi.Reloaded) {
	changed, err := file.Reload()
	switch {
	case err != nil:
		log.Error("the operators' token is unchanged", "error", err)
		done.Errors = append(done.Errors, errtext.Of(err))
	case changed:
		log.Info("the operators' token was replaced")
		done.Changed = append(done.Changed, name+": read, the new token is in effect")
	default:
		done.Changed = append(done.Changed, name+": read, the token is unchanged")
	}
	return done
}
