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

// An updater is what takes other routes while it runs.
type updater interface {
	Update(routes []gateway.Route) error
	RemoveRoutes() error
}

// followed is the configuration of "wsauth serve": what it is, and how a change of the file reaches the gateway that runs.
type followed struct {
	command *serveCmd
	flags   *kong.Context
	watcher *config.Watcher // nil without a file

	text    string // what was read last
	level   slog.LevelVar
	maker   config.Maker
	running config.Settings // those of the start
	routes  int             // that are served now
	gateway updater
	log     *slog.Logger
}

// read reads the file, if there is one, with the flags and the environment over it.
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

// logger starts the log that the settings describe, whose level can change. It
// never blocks who logs. flush stops it, and waits until it is written, for a
// while.
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

// plainErrors puts the errors of a line into plain words.
func plainErrors(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindAny {
		if err, ok := a.Value.Any().(error); ok {
			a.Value = slog.StringValue(errtext.Of(err))
		}
	}
	return a
}

// lastWords is how long a process that ends waits for its log to be read.
const lastWords = 2 * time.Second

func (f *followed) setLevel(name string) {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "warn": slog.LevelWarn, "error": slog.LevelError}
	f.level.Set(levels[name]) // info where it is none of them, or not checked yet
}

// part is what the reloader does with the configuration; nil without a file.
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

// reload takes what the file says now. With one fault, everything stays as it
// was. Where nobody asked for it, it is not done for a file that says what it
// said.
func (f *followed) reload(ctx context.Context, how reloading) (done gateway.AdminReloaded) {
	const stays = "the configuration stays as it was"
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
	f.maker.Files = false // a server that runs has opened them, and reads them anew itself
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

// put has the gateway serve these routes, or none.
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
