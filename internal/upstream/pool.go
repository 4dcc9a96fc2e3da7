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

// Config says which servers are behind a route and how they are reached. All
// fields but TLS, Health.Path, Checks, Reserve, Release and Dial are required.
type Config struct {
	Addresses []string    // http://host:port, https://host:port or unix:/path
	TLS       *tls.Config // of https addresses; nil is the system's roots
	Connect   time.Duration
	Response  time.Duration
	Health    Health
	Checks    *Checks // of pools that have the same Reserve, Release and Dial; nil is one of its own
	Logger    *slog.Logger

	// Reserve, if it is set, is asked before a connection for plain requests is
	// opened. If it reports true, Release is called when that is closed.
	Reserve func() bool
	Release func()

	// Dial, if it is set, reaches the one server in another way than its address says.
	Dial func(context.Context) (net.Conn, error)
}

// Health says for how long a server is passed over that failed, and how each is asked whether it is well.
type Health struct {
	Path    string // asked with GET; "" asks nothing
	Every   time.Duration
	Timeout time.Duration
}

// A Pool is the servers behind one route. It is safe for concurrent use.
type Pool struct {
	config  Config
	targets []*target
	next    atomic.Uint32
	mu      sync.Mutex
	checks  []*check // guarded by mu; empty once closed
}

// New returns a pool of servers and starts the health checks that c asks for.
// Nothing is dialled before it is needed.
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

// add adds a server. Without a health check its condition is known to this
// pool only.
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

// Close ends the health checks that no other pool shares, and closes the idle
// connections. Open requests and sockets continue. Closing again does nothing.
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

// CloseIdle closes the connections that wait for plain requests.
func (p *Pool) CloseIdle() {
	for _, t := range p.targets {
		t.transport.CloseIdleConnections()
	}
}

// Healthy returns how many of the servers are not passed over now, and how many there are.
func (p *Pool) Healthy() (well, all int) {
	now := time.Now()
	for _, t := range p.targets {
		if t.condition.healthy(now) {
			well++
		}
	}
	return well, len(p.targets)
}

// A State says how one server is.
type State struct {
	Address string // as it was configured
	Well    bool   // it is not passed over
}

// States returns how each of the servers is now, in the order of the configuration.
func (p *Pool) States() []State {
	now := time.Now()
	all := make([]State, len(p.targets))
	for i, t := range p.targets {
		all[i] = State{t.address, t.condition.healthy(now)}
	}
	return all
}

// try calls use with one server after the other, beginning with the one whose turn it is, until one can be reached. Servers that
// failed lately come last: where none is well, asking is better than refusing.
func (p *Pool) try(use func(*target) error) error {
	var faults []error
	for _, t := range p.order(time.Now()) {
		err := use(t)
		if !errors.Is(err, ErrUnreachable) {
			return err
		}
		t.failed(p.config.Health.Every, p.config.Logger, err)
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// order is the servers in the order in which they are tried. Each is looked at once: one that gets well meanwhile is not left out.
func (p *Pool) order(now time.Time) []*target {
	first := int((p.next.Add(1) - 1) % uint32(len(p.targets)))
	var well, ill []*target
	for i := range p.targets {
		if t := p.targets[(first+i)%len(p.targets)]; t.condition.healthy(now) {
			well = append(well, t)
		} else {
			ill = append(ill, t)
		}
	}
	return append(well, ill...)
}

// RoundTrip sends a plain request to one of the servers. The scheme and the
// host of r.URL are without meaning; r.Host is sent. Like that of every
// http.RoundTripper, it closes the body, and may do so after it has returned.
func (p *Pool) RoundTrip(r *http.Request) (*http.Response, error) {
	var response *http.Response
	err := p.try(func(t *target) (err error) {
		response, err = t.roundTrip(r)
		return err
	})
	if r.Body != nil && isUnsent(err) {
		_ = r.Body.Close() // no server has got it
	}
	if err != nil && r.Context().Err() != nil {
		return nil, fmt.Errorf("%w: %w", context.Cause(r.Context()), err)
	}
	return response, err
}
