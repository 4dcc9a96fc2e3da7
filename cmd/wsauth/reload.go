package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/alecthomas/kong"

	"wsauth/gateway"
	"wsauth/internal/config"
)

// An updater is what takes other routes while it runs.
type updater interface {
	Update(routes []gateway.Route) error
}

// followed is the configuration of "wsauth serve": what it is, and how a change of the file reaches the gateway that runs.
type followed struct {
	command *serveCmd
	flags   *kong.Context
	watcher *config.Watcher // nil without a file

	text    string // what was read last
	level   slog.LevelVar
	maker   config.Maker
	running config.Settings
	gateway updater
	log     *slog.Logger
}

// read reads the file, if there is one, with the flags and the environment over it.
func (f *followed) read() (*config.Document, error) {
	d := config.New()
	if f.command.Config != "" {
		text, err := os.ReadFile(f.command.Config)
		if err != nil {
			return nil, fmt.Errorf("read the configuration: %w", err)
		}
		f.text = string(text)
		d = config.Parse(f.command.Config, text)
	}
	f.command.settings(d, f.flags)
	return d, nil
}

// logger is the log that the settings describe; its level can change.
func (f *followed) logger(s config.Log) *slog.Logger {
	f.setLevel(s.Level)
	options := &slog.HandlerOptions{Level: &f.level}
	if s.Format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}

func (f *followed) setLevel(name string) {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "warn": slog.LevelWarn, "error": slog.LevelError}
	f.level.Set(levels[name]) // info where it is none of them, or not checked yet
}

// follow begins to take what changes in the file, when it has changed and at each SIGHUP, until ctx is done or stop is called.
func (f *followed) follow(ctx context.Context) (stop func()) {
	if f.watcher == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	hangups, changes := make(chan os.Signal, 1), make(chan struct{}, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	var running sync.WaitGroup
	running.Go(func() {
		f.watcher.Run(ctx, func() {
			select {
			case changes <- struct{}{}:
			default: // one is waiting already
			}
		})
	})
	running.Go(func() {
		for {
			select {
			case <-hangups:
				f.reload(true)
			case <-changes:
				f.reload(false)
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		signal.Stop(hangups)
		cancel()
		running.Wait()
	}
}

// reload takes what the file says now. With one fault, everything stays as it was. Where nobody asked for it, it is not done for a file
// that says what it said.
func (f *followed) reload(asked bool) {
	const stays = "the configuration stays as it was"
	defer tellReloading(f.log)()
	before := f.text
	d, err := f.read()
	if err == nil && !asked && f.text == before {
		return
	}
	if err != nil {
		f.log.Error(stays, "err", err)
		return
	}
	f.maker.Files = false // a server that runs has opened them, and reads them anew itself
	c, err := f.maker.Make(d)
	if faults, ok := errors.AsType[config.Faults](err); ok {
		for _, fault := range faults {
			f.log.Error(stays, "fault", fault.Error())
		}
		return
	}
	if keys := config.NeedRestart(f.running, d.Settings); len(keys) > 0 {
		f.log.Warn("these keys have changed, and count after a restart", "keys", keys)
	}
	logWarnings(f.log, d, c)
	served := 0
	if len(f.running.Routes) > 0 && len(c.Routes) > 0 {
		served = len(c.Routes)
		if err := f.gateway.Update(c.Routes); err != nil {
			f.log.Error(stays, "err", err)
			return
		}
	}
	f.setLevel(d.Settings.Log.Level)
	f.log.Info("configuration read", "file", f.command.Config, "routes", served)
}
