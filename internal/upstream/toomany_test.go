package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTooManyOpen checks that if this process cannot open more connections, the
// server is not avoided, and the body is closed.
func TestTooManyOpen(t *testing.T) {
	for name, c := range map[string]Config{
		"own limit":    {Dial: func(context.Context) (net.Conn, error) { return nil, limitOf(syscall.EMFILE) }},
		"system limit": {Dial: func(context.Context) (net.Conn, error) { return nil, limitOf(syscall.ENFILE) }},
		"none left":    {Reserve: func() bool { return false }, Release: func() { t.Error("released") }},
	} {
		t.Run(name, func(t *testing.T) {
			c.Addresses = []string{"http://127.0.0.1:1", "http://127.0.0.1:2"}
			if c.Dial != nil {
				c.Health = Health{Path: "/health", Every: time.Millisecond, Timeout: time.Second}
			}
			p := newPoolOf(t, c)
			closed := make(chan struct{})
			body := &closingBody{strings.NewReader("x"), closed}
			for _, r := range []*http.Request{httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRequest(http.MethodPost, "/", body)} {
				if _, err := p.RoundTrip(r); !errors.Is(err, ErrTooManyOpen) || errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "RLIMIT_NOFILE") {
					t.Errorf("%s: got %v", r.Method, err)
				}
			}
			<-closed
			if c.Dial != nil {
				if _, err := p.Open(t.Context(), handshake(t)); !errors.Is(err, ErrTooManyOpen) {
					t.Errorf("a handshake: %v", err)
				}
				p.checks[0].recordResult(p.checks[0].ask(t.Context()))
			}
			if n := healthy(p); n != len(p.targets) {
				t.Errorf("%d of %d are healthy", n, len(p.targets))
			}
		})
	}
}

func limitOf(err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", err)}
}

type closingBody struct {
	*strings.Reader
	closed chan struct{}
}

func (b *closingBody) Close() error {
	close(b.closed)
	return nil
}

// TestReserve checks that each connection is reserved, and released once it is
// closed.
func TestReserve(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	reserved := 0
	p := newPoolOf(t, Config{Addresses: []string{s.URL}, Reserve: func() bool { reserved++; return true }, Release: func() { reserved-- }})
	for range 2 {
		response, err := p.RoundTrip(httptest.NewRequest(http.MethodGet, "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	if reserved != 1 {
		t.Errorf("%d reserved for one connection", reserved)
	}
	p.CloseIdle()
	if reserved != 0 {
		t.Errorf("%d reserved for none", reserved)
	}
	s.Close()
	if _, err := p.RoundTrip(httptest.NewRequest(http.MethodGet, "/", nil)); !errors.Is(err, syscall.ECONNREFUSED) || reserved != 0 {
		t.Errorf("%v, and %d reserved", err, reserved)
	}
}
