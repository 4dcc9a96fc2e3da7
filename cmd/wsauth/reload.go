package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"wsauth/gateway"
	"wsauth/internal/asynclog"
	"wsauth/internal/config"
	"wsauth/internal/errtext"
)

// An updater can change its routes while it runs.
type updater interface {
	Update(routes []gateway.Route) error
	RemoveRoutes() error
}

// followed is the configuration of "wsauth serve", and applies changes of its
// file to the running gateway.
type followed struct {
	command *serveCmd
	flags   *kong.Context
	watcher *config.Watcher // nil without a file

	text    string // content that was read last
	level   slog.LevelVar
	maker   config.Maker
	running config.Settings // the settings at the start
	routes  int             // number of routes currently served
	gateway updater
	log     *slog.Logger
}

// read reads the file, if there is one, and applies the flags and the
// environment.
func (f *followed) read(ctx context.Context) (*config.Document, error) {
	d := config.New()
	if f.command.Config != "" {
		text, err := await(ctx, func() ([]byte, error) { return config.ReadText(f.command.Config) })
		if err != nil {
			return nil, err
		}
		f.text = string(text)
		d = config.Parse(f.command.Config, text)
	}
	f.command.settings(d, f.flags)
	return d, nil
}

// logger starts the log that the settings describe. Its level can change. It
// never blocks. flush stops it and waits for a limited time until everything
// is written.
func (f *followed) logger(s config.Log) (log *slog.Logger, flush func()) {
	f.setLevel(s.Level)
	options := &slog.HandlerOptions{Level: &f.level, ReplaceAttr: plainErrors}
	handler := asynclog.New(asynclog.Config{
		Writer: os.Stderr,
		Format: func(w io.Writer) slog.Handler {
			if s.Format == "json" {
				return slog.NewJSONHandler(w, options)
			}
			return slog.NewTextHandler(w, options)
		},
		Classify:          gateway.ClassOfLine,
		RefusalsPerSecond: s.RefusalsPerSecond,
	})
	return slog.New(handler), func() { handler.Close(lastWords) }
}

// plainErrors formats the errors in a log line with errtext.
func plainErrors(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindAny {
		if err, ok := a.Value.Any().(error); ok {
			a.Value = slog.StringValue(errtext.Of(err))
		}
	}
	return a
}

// lastWords is how long a process waits for its log to be read before it ends.
const lastWords = 2 * time.Second

func (f *followed) setLevel(name string) {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "warn": slog.LevelWarn, "error": slog.LevelError}
	f.level.Set(levels[name]) // unknown names mean info
}

// part returns the configuration as a part of the reloader, or nil if there is
// no file.
func (f *followed) part() *part {
	if f.command.Config == "" {
		return nil
	}
	p := &part{name: "configuration", file: f.command.Config, reload: f.reload}
	if f.running.Watch {
		p.watchers = []*config.Watcher{f.watcher}
	}
	return p
}

// reload applies the current content of the file. If there is any fault,
// everything stays as it was. If it was not requested explicitly, it does
// nothing if the content has not changed.
func (f *followed) reload(ctx context.Context, how reloading) (done gateway.AdminReloaded) {
	const stays = "the configuration is unchanged"
	before := f.text
	d, err := f.read(ctx)
	if err == nil && !how.asked && f.text == before {
		return done
	}
	fault := func(key string, err error) {
		f.log.Error(stays, key, err)
		done.Faults = append(done.Faults, errtext.Of(err))
	}
	if err == nil && strings.TrimSpace(f.text) == "" {
		err = fmt.Errorf("%s is empty", f.command.Config)
	}
	if err != nil {
		fault("err", err)
		return done
	}
	// A running server has opened these files and reads them again itself.
	f.maker.Files = false
	c, err := f.maker.Make(d)
	if faults, ok := errors.AsType[config.Faults](err); ok {
		for _, one := range faults {
			fault("fault", one)
		}
		return done
	}
	if f.routes > 0 && len(c.Routes) == 0 && !how.confirmed {
		f.log.Warn("the configuration would remove all routes; "+waits, "file", f.command.Config, "routes", f.routes)
		done.Unconfirmed = append(done.Unconfirmed, fmt.Sprintf("%s would remove all %d routes", f.command.Config, f.routes))
		return done
	}
	if keys := config.NeedRestart(f.running, d.Settings); len(keys) > 0 {
		f.log.Warn("these keys have changed, and count after a restart", "keys", keys)
		done.Warnings = append(done.Warnings, "these keys have changed, and count after a restart: "+strings.Join(keys, ", "))
	}
	logWarnings(f.log, d, c)
	done.Warnings = append(append(done.Warnings, d.Warnings()...), d.RouteWarnings(c)...)
	if len(f.running.Routes) > 0 {
		if err := f.put(c.Routes); err != nil {
			fault("err", err)
			return done
		}
	}
	f.setLevel(d.Settings.Log.Level)
	f.log.Info("configuration read", "file", f.command.Config, "routes", f.routes)
	done.Changed = append(done.Changed, fmt.Sprintf("%s: read, with %s", f.command.Config, count(f.routes, "route")))
	return done
}

// put makes the gateway serve these routes, or none.
func (f *followed) put(routes []gateway.Route) (err error) {
	if len(routes) == 0 {
		err = f.gateway.RemoveRoutes()
	} else {
		err = f.gateway.Update(routes)
	}
	if err == nil {
		f.routes = len(routes)
	}
	return err
}
