package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"wsauth/idp"
	"wsauth/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newServer returns a server on a free port with a data folder of its own.
func newServer(t *testing.T, change func(*config.Settings)) *Server {
	t.Helper()
	data := t.TempDir()
	s, err := New(t.Context(), Config{
		Override: func(d *config.Document) {
			d.Settings.Listen, d.Settings.Data, d.Settings.Log.Level = "127.0.0.1:0", data, "error"
			if change != nil {
				change(&d.Settings)
			}
		},
		Providers: func(*slog.Logger) ([]*idp.Provider, error) { return nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRunCloses checks that Run closes everything that it opened, whether it is
// stopped or fails. TestMain detects remaining goroutines.
func TestRunCloses(t *testing.T) {
	s := newServer(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.log = slog.New(onMessage{"listening", cancel})
	if err := s.Run(ctx, nil); err != nil {
		t.Error(err)
	}
	wantClosed(t, s)
	if _, err := os.Lstat(AdminSocket("", s.settings.Data)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket for operators: %v", err)
	}

	// The last step fails.
	s = newServer(t, func(c *config.Settings) { c.Admin.Socket = filepath.Join(c.Data, "missing", "socket") })
	if err := s.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "--admin-socket") {
		t.Errorf("without a folder for the operators' socket: %v", err)
	}
	wantClosed(t, s)
}

// An onMessage is a slog.Handler that calls a function for a message.
type onMessage struct {
	message string
	call    func()
}

func (onMessage) Enabled(context.Context, slog.Level) bool { return true }

func (h onMessage) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.message {
		h.call()
	}
	return nil
}

func (h onMessage) WithAttrs([]slog.Attr) slog.Handler { return h }

func (h onMessage) WithGroup(string) slog.Handler { return h }

// wantClosed checks that the listener and the store are closed.
func wantClosed(t *testing.T, s *Server) {
	t.Helper()
	if s.listener == nil {
		t.Fatal("the server did not listen")
	}
	if _, err := s.listener.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener: %v", err)
	}
	if check, err := CheckStore(s.settings.Data); check.State != StoreOK {
		t.Errorf("the store: %+v, %v", check, err)
	}
}

// TestDemoUserIsLocal checks that a server does not let the demo user, whose
// password is public, log in from other machines.
func TestDemoUserIsLocal(t *testing.T) {
	for want, change := range map[string]func(*config.Settings){
		"other machines can reach 0.0.0.0:0": func(c *config.Settings) { c.Listen = "0.0.0.0:0" },
		"trusted_proxies: ":                  func(c *config.Settings) { c.TrustedProxies = []string{"10.0.0.0/8"} },
	} {
		s := newServer(t, change)
		if err := s.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if _, err := os.Lstat(filepath.Join(s.settings.Data, storeName)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the store was opened before: %v", err)
		}
	}
}
