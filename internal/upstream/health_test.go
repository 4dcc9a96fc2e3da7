package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestHealthChecksAreSpread checks that servers whose checks start together are
// checked at different times, each at the right interval.
func TestHealthChecksAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pools, every = 1000, 10 * time.Second
		var requests atomic.Int64
		for range pools {
			p, err := New(Config{
				Addresses: []string{"http://server"},
				Connect:   time.Second, Response: time.Second, Logger: slog.New(slog.DiscardHandler),
				Health: Health{Path: "/healthz", Every: every, Timeout: time.Second},
				Dial: func(context.Context) (net.Conn, error) {
					requests.Add(1)
					return nil, errors.New("down")
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
		}
		for at := time.Duration(0); at < time.Second; at += 10 * time.Millisecond {
			before := requests.Load()
			time.Sleep(10 * time.Millisecond)
			if n := requests.Load() - before; n > pools/10 {
				t.Errorf("%d servers are asked at once, after %v", n, at)
			}
		}
		time.Sleep(every)
		for range 10 {
			before := requests.Load()
			time.Sleep(every / 10)
			if n := requests.Load() - before; n < pools/20 || n > pools/5 {
				t.Errorf("%d servers are asked in a tenth of the interval", n)
			}
		}
	})
}

// TestHealthOfAnAddressWithAZone checks that a server at a link-local address
// is checked.
func TestHealthOfAnAddressWithAZone(t *testing.T) {
	hosts := make(chan string, 1)
	p, err := New(Config{
		Addresses: []string{"http://[fe80::1%25eth0]:8080"},
		Connect:   time.Second, Response: time.Second, Logger: slog.New(slog.DiscardHandler),
		Health: Health{Path: "/healthz", Every: time.Millisecond, Timeout: 10 * time.Second},
		Dial: func(context.Context) (net.Conn, error) {
			here, there := net.Pipe()
			go func() {
				defer there.Close()
				r, err := http.ReadRequest(bufio.NewReader(there))
				if err != nil {
					return
				}
				select {
				case hosts <- r.Host + r.URL.String():
				default:
				}
				_, _ = io.WriteString(there, "HTTP/1.1 204 No Content\r\n\r\n")
			}()
			return here, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	select {
	case got := <-hosts:
		if got != "[fe80::1]:8080/healthz" {
			t.Errorf("asked for %s", got)
		}
	case <-time.After(10 * time.Second):
		t.Error("the server is not checked")
	}
}
