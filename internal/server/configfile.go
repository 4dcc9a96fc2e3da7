package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"wsauth/internal/adminapi"
	"wsauth/internal/await"
	"wsauth/internal/config"
	"wsauth/internal/errtext"
	"wsauth/internal/gateway/proxy"
)

// A routeUpdater is a gateway whose routes can be replaced.
type routeUpdater interface {
	Update(routes []proxy.Route) error
	RemoveRoutes() error
}

// A configFile is the configuration of a server: the file, if there is one,
// with flags and environment applied. It applies changes of the file to the
// running gateway.
type configFile struct {
	path     string // empty: no file
	override func(*config.Document)
	watcher  *config.Watcher // nil without a file
	level    slog.LevelVar
	log      *slog.Logger
	maker    config.Maker

	text    string          // the content that was read last
	running config.Settings // the settings at the start
	routes  int             // the number of routes that are served
	gateway routeUpdater
}

func newConfigFile(c Config) *configFile {
	f := &configFile{path: c.File, override: c.Override}
	if f.path != "" {
		f.watcher = config.NewWatcher(f.path)
	}
	return f
}

// read reads the file, if there is one, and applies flags and environment.
func (f *configFile) read(ctx context.Context) (*config.Document, error) {
	d := config.New()
	if f.path != "" {
		text, err := await.Do(ctx, func() ([]byte, error) { return config.ReadText(f.path) })
		if err != nil {
			return nil, err
		}
		f.text = string(text)
		d = config.Parse(f.path, text)
	}
	f.override(d)
	return d, nil
}

// part returns the configuration as a part of the reloader, or nil if there is
// no file. settings are those at the start.
func (f *configFile) part(settings config.Settings, g routeUpdater) *part {
	if f.path == "" {
		return nil
	}
	f.running, f.routes, f.gateway = settings, len(settings.Routes), g
	p := &part{name: "configuration", file: f.path, reload: f.reload}
	if settings.Watch {
		p.watchers = []*config.Watcher{f.watcher}
	}
	return p
}

// reload applies the current content of the file. If there is any error,
// nothing changes. If the content is the same, reload does nothing, unless the
// request is explicit.
func (f *configFile) reload(ctx context.Context, r reloadRequest) (done adminapi.Reloaded) {
	const unchanged = "the configuration is unchanged"
	before := f.text
	d, err := f.read(ctx)
	if err == nil && !r.explicit && f.text == before {
		return done
	}
	refuse := func(err error) {
		f.log.Error(unchanged, "error", err)
		done.Errors = append(done.Errors, errtext.Of(err))
	}
	if err == nil && strings.TrimSpace(f.text) == "" {
		err = fmt.Errorf("%s is empty", f.path)
	}
	if err != nil {
		refuse(err)
		return done
	}
	// The running server has opened these files and reads them again itself.
	f.maker.Files = false
	c, err := f.maker.Make(d)
	if all, ok := errors.AsType[config.Faults](err); ok {
		for _, one := range all {
			refuse(one)
		}
		return done
	}
	if f.routes > 0 && len(c.Routes) == 0 && !r.confirmed {
		f.log.Warn("the configuration would remove all routes; "+needsConfirmation, "file", f.path, "routes", f.routes)
		done.Unconfirmed = append(done.Unconfirmed, fmt.Sprintf("%s would remove all %d routes", f.path, f.routes))
		return done
	}
	if keys := config.NeedRestart(f.running, d.Settings); len(keys) > 0 {
		f.log.Warn("these keys have changed, and take effect after a restart", "keys", keys)
		done.Warnings = append(done.Warnings, "these keys have changed, and take effect after a restart: "+strings.Join(keys, ", "))
	}
	logWarnings(f.log, d, c)
	done.Warnings = append(append(done.Warnings, d.Warnings()...), d.RouteWarnings(c)...)
	if len(f.running.Routes) > 0 {
		if err := f.setRoutes(c.Routes); err != nil {
			refuse(err)
			return done
		}
	}
	setLevel(&f.level, d.Settings.Log.Level)
	f.log.Info("configuration read", "file", f.path, "routes", f.routes)
	done.Changed = append(done.Changed, fmt.Sprintf("%s: read, with %s", f.path, errtext.Count(f.routes, "route")))
	return done
}

// setRoutes makes the gateway serve these routes, or none.
func (f *configFile) setRoutes(routes []proxy.Route) (err error) {
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
