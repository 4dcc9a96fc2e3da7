package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A watchedServer server counts its health checks. It runs in memory, so that
// its clock can be that of synctest.
type watchedServer struct {
	checks      atomic.Int64
	down        atomic.Bool // accepts no connections
	isUnhealthy atomic.Bool // it answers 503
}

func (w *watchedServer) dial(context.Context) (net.Conn, error) {
	w.checks.Add(1)
	if w.down.Load() {
		return nil, errors.New("down")
	}
	client, server := net.Pipe()
	go func() {
		answer := "204 No Content"
		if w.isUnhealthy.Load() {
			answer = "503 Service Unavailable"
		}
		answering("HTTP/1.1 " + answer + "\r\n\r\n")(server)
	}()
	return client, nil
}

const checkEvery = 10 * time.Second

func (w *watchedServer) config(all *Checks) Config {
	return Config{
		Addresses: []string{"http://server:80"},
		Connect:   time.Second, Response: time.Second, Logger: slog.New(slog.DiscardHandler),
		Health: Health{Path: "/healthz", Every: checkEvery, Timeout: time.Second},
		Checks: all, Dial: w.dial,
	}
}

func newPoolUntilEnd(t *testing.T, c Config) *Pool {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func newChecks() *Checks { return &Checks{Logger: slog.New(slog.DiscardHandler)} }

// TestHealthChecksAreShared checks that a thousand routes to one server send
// one check in an interval.
func TestHealthChecksAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, all := &watchedServer{}, newChecks()
		for range 1000 {
			newPoolUntilEnd(t, w.config(all))
		}
		time.Sleep(time.Second + checkEvery) // two checks, at random times
		for i := range 5 {
			before := w.checks.Load()
			time.Sleep(checkEvery)
			if n := w.checks.Load() - before; n != 1 {
				t.Errorf("interval %d: %d checks, want 1", i, n)
			}
		}
	})
}

// TestWhichHealthChecksAreShared checks that two pools share a check only if
// they reach the same server in the same way and send it the same request.
func TestWhichHealthChecksAreShared(t *testing.T) {
	trust := &tls.Config{MinVersion: tls.VersionTLS13}
	secure := func(c *Config) { c.Addresses = []string{"https://server"} }
	for name, tt := range map[string]struct {
		first, second func(*Config)
		shared        bool
	}{
		"same":               {nil, nil, true},
		"response time":      {nil, func(c *Config) { c.Response = time.Minute }, true},
		"default port":       {nil, func(c *Config) { c.Addresses = []string{"http://server"} }, true},
		"slash":              {nil, func(c *Config) { c.Addresses = []string{"http://server:80/"} }, true},
		"capitals":           {nil, func(c *Config) { c.Addresses = []string{"http://SERVER:80"} }, true},
		"trust without TLS":  {nil, func(c *Config) { c.TLS = trust }, true},
		"path":               {nil, func(c *Config) { c.Health.Path = "/other" }, false},
		"interval":           {nil, func(c *Config) { c.Health.Every *= 2 }, false},
		"timeout":            {nil, func(c *Config) { c.Health.Timeout *= 2 }, false},
		"connect time":       {nil, func(c *Config) { c.Connect *= 2 }, false},
		"port":               {nil, func(c *Config) { c.Addresses = []string{"http://server:81"} }, false},
		"host":               {nil, func(c *Config) { c.Addresses = []string{"http://other:80"} }, false},
		"TLS":                {nil, func(c *Config) { c.Addresses = []string{"https://server:80"} }, false},
		"TLS, same trust":    {func(c *Config) { secure(c); c.TLS = trust }, func(c *Config) { secure(c); c.TLS = trust }, true},
		"TLS, another trust": {func(c *Config) { secure(c); c.TLS = trust }, secure, false},
		"Unix, same socket":  {func(c *Config) { c.Addresses = []string{"unix:/a"} }, func(c *Config) { c.Addresses = []string{"unix:/a"} }, true},
		"Unix, capitals":     {func(c *Config) { c.Addresses = []string{"unix:/a"} }, func(c *Config) { c.Addresses = []string{"unix:/A"} }, false},
		"no path":            {nil, func(c *Config) { c.Health.Path = "" }, false},
		"neither has a path": {func(c *Config) { c.Health.Path = "" }, func(c *Config) { c.Health.Path = "" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			all := newChecks()
			pool := func(change func(*Config)) *Pool {
				c := (&watchedServer{}).config(all)
				if change != nil {
					change(&c)
				}
				return newPoolUntilEnd(t, c)
			}
			first, second := pool(tt.first), pool(tt.second)
			if got := first.targets[0].condition == second.targets[0].condition; got != tt.shared {
				t.Errorf("shared: %v, want %v", got, tt.shared)
			}
		})
	}
}

// TestLifetimeOfASharedHealthCheck checks that the result of a check applies to
// a pool that is added later. The check runs until the last pool is closed,
// even if Close is called twice, and not afterwards.
func TestLifetimeOfASharedHealthCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, all := &watchedServer{}, newChecks()
		isHealthy := func(p *Pool) bool { return healthy(p) == 1 }
		first := newPoolUntilEnd(t, w.config(all))
		if !isHealthy(first) {
			t.Error("a server without a check result is avoided")
		}
		w.isUnhealthy.Store(true)
		time.Sleep(time.Second + checkEvery)
		second := newPoolUntilEnd(t, w.config(all))
		first.Close()
		first.Close()
		if isHealthy(first) || isHealthy(second) {
			t.Error("the second pool does not have the result of the first")
		}
		w.isUnhealthy.Store(false)
		before := w.checks.Load()
		time.Sleep(checkEvery)
		if n := w.checks.Load() - before; n != 1 || !isHealthy(second) {
			t.Errorf("%d checks, healthy: %v; want 1 and true", n, isHealthy(second))
		}
		second.Close()
		before = w.checks.Load()
		time.Sleep(3 * checkEvery)
		if n := w.checks.Load() - before; n != 0 || len(all.running) != 0 {
			t.Errorf("%d checks after the last pool was closed, %d still running", n, len(all.running))
		}
		third := newPoolUntilEnd(t, w.config(all))
		time.Sleep(time.Second + checkEvery)
		// The second check is at a random time, so there may be a third.
		if n := w.checks.Load() - before; n < 2 || n > 3 || !isHealthy(third) {
			t.Errorf("a pool after that: %d checks, healthy: %v; want 2 or 3 and true", n, isHealthy(third))
		}
	})
}

// TestFailedConnectionsAreShared checks that if one pool cannot connect, other
// pools with the same check avoid the server too, until a check succeeds.
func TestFailedConnectionsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, all := &watchedServer{}, newChecks()
		one, two := newPoolUntilEnd(t, w.config(all)), newPoolUntilEnd(t, w.config(all))
		c := w.config(all)
		c.Health.Path = ""
		alone := newPoolUntilEnd(t, c)
		w.down.Store(true)
		if _, err := one.Open(t.Context(), handshake(t)); !errors.Is(err, ErrUnreachable) {
			t.Fatal(err)
		}
		a, b, other := healthy(one), healthy(two), healthy(alone)
		if a != 0 || b != 0 || other != 1 {
			t.Errorf("healthy: %d of the pool that failed, %d of the one that shares its check, %d of another; want 0, 0, 1", a, b, other)
		}
		time.Sleep(time.Second) // the first check fails
		w.down.Store(false)
		time.Sleep(checkEvery)
		if healthy(one) != 1 {
			t.Error("the server is avoided after a successful check")
		}
	})
}

// TestInterruptedHealthCheckIsNoFailure checks that a check that is interrupted
// because its last pool is closed is not a failure.
func TestInterruptedHealthCheckIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		all := &Checks{Logger: slog.New(slog.NewTextHandler(&log, nil))}
		c := (&watchedServer{}).config(all)
		c.Dial = func(context.Context) (net.Conn, error) {
			client, server := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, server) }() // never answers
			return client, nil
		}
		c.Health.Timeout = time.Minute
		p := newPoolUntilEnd(t, c)
		time.Sleep(2 * time.Second) // the first check waits
		p.Close()
		if n := healthy(p); n != 1 || log.Len() > 0 {
			t.Errorf("healthy: %d, log: %s", n, &log)
		}
	})
}
