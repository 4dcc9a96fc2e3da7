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

// Config says which servers are behind a route and how they are reached. All fields but TLS, Health.Path and Dial are required.
type Config struct {
	Addresses []string    // http://host:port, https://host:port or unix:/path
	TLS       *tls.Config // of https addresses; nil is the system's roots
	Connect   time.Duration
	Response  time.Duration
	Health    Health
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
	stop    context.CancelFunc
	watches sync.WaitGroup
}

// New makes a pool of servers, and begins to ask them how they are, where c says so. Nothing is dialled before it is needed.
func New(c Config) (*Pool, error) {
	ctx, stop := context.WithCancel(context.Background())
	p := &Pool{config: c, stop: stop}
	for _, address := range c.Addresses {
		t, err := newTarget(address, c)
		if err != nil {
			stop()
			return nil, err
		}
		p.targets = append(p.targets, t)
	}
	if c.Health.Path != "" {
		for _, t := range p.targets {
			p.watches.Go(func() { t.watch(ctx, c.Health) })
		}
	}
	return p, nil
}

// Close stops asking the servers and closes the connections that wait for plain requests. Requests and sockets that are under way
// stay.
func (p *Pool) Close() {
	p.stop()
	p.watches.Wait()
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
		if t.well(now) {
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
		all[i] = State{t.address, t.well(now)}
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
		if t := p.targets[(first+i)%len(p.targets)]; t.well(now) {
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
