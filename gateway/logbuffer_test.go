package gateway

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// A logBuffer collects a log; it is safe for concurrent use.
type logBuffer struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	grown chan struct{} // closed at the next write; nil when nobody waits
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// waitFor returns when the log contains text: the end of a socket is logged
// after the client has seen it.
func (l *logBuffer) waitFor(t *testing.T, text string) {
	t.Helper()
	l.wait(t, text, func(log string) bool { return strings.Contains(log, text) })
}

// wait returns when the log is as it should be. Its name is for the failure.
func (l *logBuffer) wait(t *testing.T, name string, done func(log string) bool) {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		l.mu.Lock()
		if l.grown == nil {
			l.grown = make(chan struct{})
		}
		grown := l.grown
		l.mu.Unlock()
		if done(l.String()) {
			return
		}
		select {
		case <-grown:
		case <-late:
			t.Fatalf("the log does not have %s: %s", name, l)
		}
	}
}

// A logFormat is a form in which a log is written.
type logFormat func(io.Writer) slog.Handler

// inEachFormat runs a test with the log in text and in JSON.
func inEachFormat(t *testing.T, test func(*testing.T, logFormat)) {
	t.Run("text", func(t *testing.T) {
		test(t, func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) })
	})
	t.Run("json", func(t *testing.T) {
		test(t, func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) })
	})
}

// startLogging serves a gateway whose log has that format.
func startLogging(t *testing.T, format logFormat, change ...func(*Config)) *rig {
	t.Helper()
	log := &logBuffer{}
	r := start(t, append(change, func(c *Config) { c.Logger = slog.New(format(log)) })...)
	r.log = log
	return r
}
