package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"wsauth/internal/httpx"
)

// maxHead is the maximum length of a response header.
const maxHead = 64 << 10

// A target is one server.
type target struct {
	address string // as configured
	network string // "tcp" or "unix"
	dialed  string // host:port or a path
	scheme  string
	host    string // host in the URLs of requests
	// The loopback address of the server, if it has one. Such a server cannot
	// disappear without its connections being reset.
	local     netip.AddrPort
	tls       *tls.Config // nil without TLS
	config    Config
	transport *http.Transport
	condition *condition
}

func newTarget(address string, c Config) (*target, error) {
	t := &target{address: address, config: c}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		t.network, t.dialed, t.scheme, t.host = "unix", path, "http", "localhost"
	} else {
		u, err := url.Parse(address)
		if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("upstream: %q is not the address of a server", address)
		}
		port := u.Port()
		if port == "" {
			port = httpx.DefaultPort(u.Scheme)
		}
		t.network, t.dialed, t.scheme, t.host = "tcp", net.JoinHostPort(u.Hostname(), port), u.Scheme, u.Host
		if at, err := netip.ParseAddrPort(t.dialed); err == nil && at.Addr().IsLoopback() {
			t.local = at
		}
		if u.Scheme == "https" {
			t.tls = clientTLS(c.TLS, u.Hostname())
		}
	}
	t.transport = &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return t.dialPlain(ctx) },
		TLSClientConfig:     t.tls.Clone(),
		ForceAttemptHTTP2:   t.tls != nil,
		TLSHandshakeTimeout: c.Connect,
		// The client and the server negotiate compression themselves.
		DisableCompression:     true,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        time.Minute,
		ResponseHeaderTimeout:  c.Response,
		MaxResponseHeaderBytes: maxHead,
		ExpectContinueTimeout:  time.Second,
	}
	return t, nil
}

func clientTLS(base *tls.Config, host string) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if base != nil {
		c = base.Clone()
	}
	if c.ServerName == "" {
		c.ServerName = host
	}
	return c
}

// dial opens a connection, without TLS.
func (t *target) dial(ctx context.Context) (net.Conn, error) {
	reach := t.config.Dial
	if reach == nil {
		reach = t.dialNetwork
	}
	conn, err := reach(ctx)
	if err != nil {
		return nil, t.unreachable(ctx, err)
	}
	return conn, nil
}

// dialPlain opens a connection for plain requests.
func (t *target) dialPlain(ctx context.Context) (net.Conn, error) {
	release := func() {}
	if t.config.Reserve != nil {
		if !t.config.Reserve() {
			return nil, fmt.Errorf("%w: RLIMIT_NOFILE does not allow another connection to an upstream", ErrTooManyOpen)
		}
		release = t.config.Release
	}
	conn, err := t.dial(ctx)
	if err != nil {
		release()
		return nil, err
	}
	return newUploadConn(conn, release), nil
}

// unreachable returns the error for a failed dial.
func (t *target) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		// The request was canceled, which says nothing about the server.
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return fmt.Errorf("%w: RLIMIT_NOFILE, or the limit of the whole system, does not allow another connection: %w", ErrTooManyOpen, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrUnreachable, t.address, err)
}

func (t *target) dialNetwork(ctx context.Context) (net.Conn, error) {
	if t.local.IsValid() {
		return dialLocal(ctx, t.local, t.config.Connect)
	}
	d := net.Dialer{Timeout: t.config.Connect}
	return d.DialContext(ctx, t.network, t.dialed)
}

// roundTrip sends r to this server. It sends a copy, because another server
// may get r afterwards.
func (t *target) roundTrip(r *http.Request) (*http.Response, error) {
	out := new(http.Request)
	*out = *r
	u := *r.URL
	u.Scheme, u.Host = t.scheme, t.host
	out.URL = &u
	send := t.transport.RoundTrip
	if out.Body != nil && out.Body != http.NoBody {
		send = t.roundTripUpload
	}
	response, err := send(out)
	switch {
	case err == nil && response.StatusCode == http.StatusSwitchingProtocols:
		_ = response.Body.Close()
		return nil, fmt.Errorf("%w: %s: a 101 that was not requested", ErrAnswer, t.address)
	case err == nil:
		return response, nil
	case errors.Is(err, ErrUnreachable), errors.Is(err, ErrTimeout), errors.Is(err, ErrTooManyOpen):
		return nil, err
	case isTimeout(err):
		return nil, fmt.Errorf("%w: %s: %w", ErrTimeout, t.address, err)
	}
	return nil, fmt.Errorf("%w: %s: %w", ErrAnswer, t.address, err)
}

// isUnsent reports whether no server has received anything of a request.
func isUnsent(err error) bool {
	return errors.Is(err, ErrUnreachable) || errors.Is(err, ErrTooManyOpen)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// markFailed makes the pool avoid the server for a while. It logs only the
// first of several failures.
func (t *target) markFailed(pause time.Duration, log *slog.Logger, err error) {
	now := time.Now()
	if before := t.condition.avoidUntil.Swap(now.Add(pause).UnixNano()); before <= now.UnixNano() {
		log.Warn("upstream cannot be reached", "upstream", t.address, "skipped_for", pause, "error", err)
	}
}
