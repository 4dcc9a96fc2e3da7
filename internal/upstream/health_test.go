package upstream

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestHealthChecksAreSpread: servers that are watched from the same moment on
// are asked at different times, each as often as it should be.
func TestHealthChecksAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pools, every = 1000, 10 * time.Second
		var asked atomic.Int64
		for range pools {
			p, err := New(Config{
				Addresses: []string{"http://server"},
				Connect:   time.Second, Response: time.Second, Logger: slog.New(slog.DiscardHandler),
				Health: Health{Path: "/healthz", Every: every, Timeout: time.Second},
				Dial: func(context.Context) (net.Conn, error) {
					asked.Add(1)
					return nil, errors.New("down")
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
		}
		for at := time.Duration(0); at < time.Second; at += 10 * time.Millisecond {
			before := asked.Load()
			time.Sleep(10 * time.Millisecond)
			if n := asked.Load() - before; n > pools/10 {
				t.Errorf("%d servers are asked at once, after %v", n, at)
			}
		}
		time.Sleep(every)
		for range 10 {
			before := asked.Load()
			time.Sleep(every / 10)
			if n := asked.Load() - before; n < pools/20 || n > pools/5 {
				t.Errorf("%d servers are asked in a tenth of the interval", n)
			}
		}
	})
}
