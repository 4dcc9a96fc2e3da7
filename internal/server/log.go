package server

import (
	"io"
	"log/slog"
	"os"
	"time"

	"wsauth/internal/asynclog"
	"wsauth/internal/config"
	"wsauth/internal/errtext"
	"wsauth/internal/gateway"
	"wsauth/internal/gateway/telemetry"
)

// flushTimeout limits how long the server waits for its log to be written
// before it ends.
const flushTimeout = 2 * time.Second

// newLog starts the log on standard error that the settings describe, with a
// level that can change. It never blocks. flush stops it.
func newLog(s config.Log, level *slog.LevelVar) (log *slog.Logger, flush func()) {
	setLevel(level, s.Level)
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: plainErrors}
	handler := asynclog.New(asynclog.Config{
		Writer: os.Stderr,
		Format: func(w io.Writer) slog.Handler {
			if s.Format == "json" {
				return slog.NewJSONHandler(w, options)
			}
			return slog.NewTextHandler(w, options)
		},
		Classify:          telemetry.Classify,
		RefusalsPerSecond: s.RefusalsPerSecond,
	})
	return slog.New(handler), func() { handler.Close(flushTimeout) }
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

// setLevel sets level to the one with the given name, or to info.
func setLevel(level *slog.LevelVar, name string) {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "warn": slog.LevelWarn, "error": slog.LevelError}
	level.Set(levels[name])
}

// logWarnings logs the dangerous settings of d. c must be made from d.
func logWarnings(log *slog.Logger, d *config.Document, c gateway.Config) {
	for _, w := range d.Warnings() {
		log.Warn("insecure", "setting", w)
	}
	for _, w := range d.RouteWarnings(c) {
		log.Warn("check this route", "setting", w)
	}
}
