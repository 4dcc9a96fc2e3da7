// Package server implements "wsauth serve". It reads the configuration, opens
// everything that a gateway needs, and serves it until it is stopped.
//
//	server.go      New and Run: the order in which things start and stop
//	configfile.go  reads the configuration, and applies a changed one
//	log.go         the log
//	listen.go      the listener for clients, and the TLS certificate
//	systemd.go     sockets and notifications of the service manager
//	datafolder.go  the data folder with the keys and the store
//	cluster.go     the store and the keys that several nodes share
//	users.go       the user file
//	sharedusers.go the user file of a node of a cluster
//	ticketkey.go   the key of the tickets that several nodes share
//	record.go      detects a store that has lost revocations
//	operators.go   metrics, health checks and the API for operators
//	reload.go      reads the files again while the server runs
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/coreos/go-systemd/v22/daemon"

	"wsauth/idp"
	"wsauth/internal/config"
	"wsauth/internal/gateway"
	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/tokens"
	"wsauth/internal/nodelease"
)

// Config configures a [Server].
type Config struct {
	// File is the configuration file. Empty: none.
	File string

	// Override changes the settings of File, or the defaults without one. It is
	// called each time the configuration is read. Required.
	Override func(*config.Document)

	// Providers returns identity providers that replace those of File, if
	// there are any. Required.
	Providers func(*slog.Logger) ([]*idp.Provider, error)

	// Version is the version of the program, for operators.
	Version string
}

// A Server is a gateway with everything that it needs: its configuration,
// listeners, keys, users and store.
type Server struct {
	version  string
	file     *configFile
	settings config.Settings
	assembly gateway.Config // the configuration of the gateway
	log      *slog.Logger
	flushLog func()
	reloads  *reloader

	listener net.Listener // for clients
	metrics  net.Listener // nil unless the service manager passed it
	dir      string       // the data folder
	keys     watchedKeys
	lease    *nodelease.Lease // nil unless several nodes share the store
	users    *userFile        // nil without a file
	gateway  *gateway.Gateway
	served   bool // the gateway shuts itself down

	// closers undo what was opened, in the order of opening.
	closers []func() error
}

// watchedKeys are keys that are replaced while the server runs.
type watchedKeys interface {
	tokens.Keys
	Watch(context.Context)
}

// New reads and validates the configuration. The error is a [config.Faults] if
// the settings have errors. To validate them, New also reads the files that
// they name. If one of these is a pipe, New may still block after ctx is done.
func New(ctx context.Context, c Config) (s *Server, err error) {
	file := newConfigFile(c)
	document, err := file.read(ctx)
	if err != nil {
		return nil, err
	}
	log, flush := newLog(document.Settings.Log, &file.level)
	defer func() {
		if err != nil {
			flush()
		}
	}()
	file.log = log
	file.maker = config.Maker{Logger: log, Files: true, DataDir: DefaultDataFolder()}
	assembly, err := file.maker.Make(document)
	if err != nil {
		return nil, err
	}
	providers, err := c.Providers(log)
	if err != nil {
		return nil, err
	}
	if len(providers) > 0 {
		assembly.Tokens.Providers = providers
	}
	logWarnings(log, document, assembly)
	return &Server{
		version: c.Version, file: file, settings: document.Settings, assembly: assembly,
		log: log, flushLog: flush, reloads: newReloader(log),
	}, nil
}

// Run opens everything that the server needs, and serves until ctx is done. It
// then closes all sockets, and everything that it opened. It reads its files
// again whenever it receives from hangups. Run must be called once.
func (s *Server) Run(ctx context.Context, hangups <-chan os.Signal) (err error) {
	defer s.flushLog()
	defer func() { err = errors.Join(err, s.close()) }()
	for _, open := range []func(context.Context) error{s.listen, s.openCertificate, s.openData, s.openUsers, s.openGateway, s.openOperators} {
		if err := open(ctx); err != nil {
			return err
		}
	}
	if p := s.file.part(s.settings, s.gateway); p != nil {
		s.reloads.add(p)
	}
	defer s.reloads.run(ctx, hangups)()
	s.logListening()
	defer keepAlive(s.gateway, s.log)()
	defer notifyStopping(ctx, s.log, s.settings.Drain)()
	notify(s.log, daemon.SdNotifyReady)
	return s.serve(ctx)
}

// serve serves clients until ctx is done. It returns no error if sockets were
// cut because they had not closed within the time set by drain.
func (s *Server) serve(ctx context.Context) error {
	s.served = true
	err := s.gateway.Serve(ctx, s.listener)
	if ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("stopped; sockets that had not closed in time were cut", "drain", s.settings.Drain, "error", err)
		return nil
	}
	return err
}

// onClose registers a function that close calls. It must not fail.
func (s *Server) onClose(stop func()) {
	s.closers = append(s.closers, func() error {
		stop()
		return nil
	})
}

// close calls the closers in reverse order.
func (s *Server) close() (err error) {
	for i := len(s.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, s.closers[i]())
	}
	return err
}

// openGateway creates the gateway. It ends the sessions of users who have
// changed since the last run, and all sessions if the store has lost
// revocations, before any request is accepted.
func (s *Server) openGateway(ctx context.Context) (err error) {
	switch {
	case s.users != nil:
		s.assembly.Login.Users = s.users
	case s.hasDemoUser():
		s.assembly.Login.Users = demo.Users{}
	}
	if s.gateway, err = gateway.New(s.assembly); err != nil {
		return err
	}
	s.closers = append(s.closers, func() error {
		if s.served {
			return nil
		}
		return s.gateway.Shutdown(ctx)
	})
	if err := endOutdated(ctx, s.gateway, s.assembly.Store, s.users, filepath.Join(s.dir, seenName), s.lease != nil, s.log); err != nil {
		return err
	}
	files := newRecordFiles(KeyFolder(s.settings.Keys, s.dir), s.dir)
	stop, err := startRecorder(ctx, s.gateway, s.assembly.Store, files, s.settings.InsecureAcceptLostRevocations, s.log)
	if err != nil {
		return err
	}
	s.onClose(stop)
	switch {
	case s.users != nil:
		s.log.Info("users", "file", s.settings.Users, "users", s.users.Len())
		s.reloads.add(s.users.part(s.gateway, s.settings.Watch))
	case s.hasDemoUser():
		s.log.Warn("demonstration: everybody may log in", "user", "test", "password", "test")
	default:
		s.log.Info("no users: logins are disabled")
	}
	s.watchKeys(ctx)
	return nil
}

// logListening logs that the server is ready, with its main settings.
func (s *Server) logListening() {
	c := s.settings
	s.log.Info("listening", "url", s.url(), "addr", s.listener.Addr().String(), "data", s.dir,
		"access_ttl", c.AccessTTL, "refresh_ttl", c.RefreshTTL, "session_ttl", c.SessionTTL, "refresh_grace", c.RefreshGrace, "refresh_retry", c.RefreshRetry, "max_sockets", c.MaxSockets,
		"routes", len(c.Routes))
}
