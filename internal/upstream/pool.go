package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Config configures a pool. All fields except TLS, Health.Path, Checks,
// Reserve, Release and Dial are required.
type Config struct {
	Addresses []string    // http://host:port, https://host:port or unix:/path
	TLS       *tls.Config // for https addresses; nil: the system's roots
	Connect   time.Duration
	Response  time.Duration
	Health    Health
	// Checks are shared by pools with the same Reserve, Release and Dial. Nil:
	// the pool has its own.
	Checks *Checks
	Logger *slog.Logger

	// Reserve, if set, is called before a connection for plain requests is opened.
	// It returns false to refuse the connection. Otherwise Release is called when
	// the connection is closed.
	Reserve func() bool
	Release func()

	// Dial, if set, connects to the only server instead of dialing its
	// address.
	Dial func(context.Context) (net.Conn, error)
}

// Health determines how long a failed server is avoided, and how servers are
// checked.
type Health struct {
	Path    string // requested with GET; "": no checks
	Every   time.Duration
	Timeout time.Duration
}

// A Pool represents the servers of one route. It is safe for concurrent use.
type Pool struct {
	config  Config
	targets []*target
	next    atomic.Uint32
	mu      sync.Mutex
	checks  []*check // guarded by mu; empty once closed
}

// New returns a pool of servers and starts the health checks. It does not
// dial.
func New(c Config) (*Pool, error) {
	if c.Checks == nil {
		c.Checks = &Checks{Logger: c.Logger}
	}
	p := &Pool{config: c}
	for _, address := range c.Addresses {
		if err := p.add(address); err != nil {
			p.Close()
			return nil, err
		}
	}
	return p, nil
}

// add adds a server. Without a health check, its condition is known only to
// this pool.
func (p *Pool) add(address string) error {
	t, err := newTarget(address, p.config)
	if err != nil {
		return err
	}
	t.condition = &condition{}
	if p.config.Health.Path != "" {
		c, err := p.config.Checks.acquire(t, p.config)
		if err != nil {
			return err
		}
		t.condition = &c.condition
		p.checks = append(p.checks, c)
	}
	p.targets = append(p.targets, t)
	return nil
}

// Close stops the health checks that no other pool uses, and closes idle
// connections. Open requests and sockets continue. Close may be called again.
func (p *Pool) Close() {
	p.mu.Lock()
	checks := p.checks
	p.checks = nil
	p.mu.Unlock()
	for _, c := range checks {
		p.config.Checks.release(c)
	}
	p.CloseIdle()
}

// CloseIdle closes the idle connections for plain requests.
func (p *Pool) CloseIdle() {
	for _, t := range p.targets {
		t.transport.CloseIdleConnections()
	}
}

// A State is the state of a server.
type State struct {
	Address string // as configured
	Healthy bool
}

// States returns the state of each server, in the order of the configuration.
func (p *Pool) States() []State {
	now := time.Now()
	all := make([]State, len(p.targets))
	for i, t := range p.targets {
		all[i] = State{t.address, t.condition.healthy(now)}
	}
	return all
}

// try calls use for one server after the other, in round-robin order, until
// one can be reached. Servers that recently failed come last; if all have
// failed, trying them is better than refusing the request.
func (p *Pool) try(use func(*target) error) error {
	var faults []error
	for _, t := range p.order(time.Now()) {
		err := use(t)
		if !errors.Is(err, ErrUnreachable) {
			return err
		}
		t.markFailed(p.config.Health.Every, p.config.Logger, err)
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// order returns the servers in the order in which to try them. It looks at
// each condition once, so that a server that recovers meanwhile is not
// omitted.
func (p *Pool) order(now time.Time) []*target {
	first := int((p.next.Add(1) - 1) % uint32(len(p.targets)))
	var healthy, failed []*target
	for i := range p.targets {
		if t := p.targets[(first+i)%len(p.targets)]; t.condition.healthy(now) {
			healthy = append(healthy, t)
		} else {
			failed = append(failed, t)
		}
	}
	return append(healthy, failed...)
}

// RoundTrip sends a plain request to one of the servers. It ignores the scheme
// and the host of r.URL, and sends r.Host. Like every http.RoundTripper, it
// closes the body, possibly after it has returned.
func (p *Pool) RoundTrip(r *http.Request) (*http.Response, error) {
	var response *http.Response
	err := p.try(func(t *target) (err error) {
		response, err = t.roundTrip(r)
		return err
	})
	if r.Body != nil && isUnsent(err) {
		_ = r.Body.Close() // no server has received it
	}
	if err != nil && r.Context().Err() != nil {
		return nil, fmt.Errorf("%w: %w", context.Cause(r.Context()), err)
	}
	return response, err
}
