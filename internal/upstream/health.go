package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Checks are the health checks of several pools. Pools that reach a server in
// the same way and ask it the same thing share one check and what it finds
// out. Checks are safe for concurrent use.
type Checks struct {
	Logger *slog.Logger // gets changes; required

	mu      sync.Mutex
	running map[checkKey]*check
}

// A checkKey is what makes two checks the same: the server, how it is reached,
// and what it is asked how often.
type checkKey struct {
	scheme, network, dialled string
	tls                      *tls.Config // by identity; nil for plain ones
	connect                  time.Duration
	health                   Health
}

// A check asks one server how it is, for all targets that use it.
type check struct {
	key       checkKey
	target    *target // has a transport of its own
	condition condition
	users     int // guarded by Checks.mu
	stop      context.CancelFunc
	done      chan struct{} // closed when it has stopped
}

// A condition is what is known about a server. Targets that share a check
// share it, so one that cannot connect has the others try elsewhere first.
type condition struct {
	failedCheck atomic.Bool  // the last check failed
	avoidUntil  atomic.Int64 // since a connection failed; nanoseconds since 1970
}

// healthy reports whether the server is not passed over.
func (c *condition) healthy(now time.Time) bool {
	return !c.failedCheck.Load() && c.avoidUntil.Load() <= now.UnixNano()
}

// acquire returns the check of t with the settings of c, and starts it if no
// other target uses it. Each call is followed by one of release.
func (all *Checks) acquire(t *target, c Config) (*check, error) {
	key := checkKey{scheme: t.scheme, network: t.network, dialled: t.dialled, connect: c.Connect, health: c.Health}
	if t.network == "tcp" {
		key.dialled = strings.ToLower(t.dialled) // names of hosts ignore case
	}
	if t.tls != nil {
		key.tls = c.TLS
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	if shared := all.running[key]; shared != nil {
		shared.users++
		return shared, nil
	}
	c.Response, c.Logger = c.Health.Timeout, all.Logger // what belongs to one route does not count
	asked, err := newTarget(t.address, c)
	if err != nil {
		return nil, err
	}
	// Each check opens a connection: this shows that the server accepts them,
	// and none is held in between.
	asked.transport.DisableKeepAlives = true
	ctx, stop := context.WithCancel(context.Background())
	started := &check{key: key, target: asked, users: 1, stop: stop, done: make(chan struct{})}
	asked.condition = &started.condition
	if all.running == nil {
		all.running = map[checkKey]*check{}
	}
	all.running[key] = started
	go started.run(ctx)
	return started, nil
}

// release stops a check that was acquired, unless other targets use it still,
// and waits until it has stopped.
func (all *Checks) release(c *check) {
	all.mu.Lock()
	c.users--
	last := c.users == 0
	if last {
		delete(all.running, c.key)
	}
	all.mu.Unlock()
	if last {
		c.stop()
		<-c.done
	}
}

// run asks the server until ctx is done. The first check comes within a
// second, and the second at a random time of the interval, so that checks that
// start together are not sent together.
func (c *check) run(ctx context.Context) {
	defer close(c.done)
	every := c.key.health.Every
	wait, next := rand.N(min(every, time.Second)), rand.N(every) //nolint:gosec // keeps no secret
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		timer.Reset(next)
		next = every
		c.learn(c.ask(ctx))
	}
}

// learn records the outcome of a check, and logs a change.
func (c *check) learn(err error) {
	if errors.Is(err, ErrTooManyOpen) || errors.Is(err, context.Canceled) {
		return // which says nothing about the server
	}
	if failed := err != nil; c.condition.failedCheck.Swap(failed) == failed {
		return
	}
	log := c.target.config.Logger
	if err != nil {
		log.Warn("upstream is not healthy", "upstream", c.target.address, "error", err)
		return
	}
	c.condition.avoidUntil.Store(0)
	log.Info("upstream is healthy again", "upstream", c.target.address)
}

// ask sends one request; the error is nil if the server is healthy.
func (c *check) ask(ctx context.Context) error {
	h, t := c.key.health, c.target
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.Path, nil)
	if err != nil {
		return err
	}
	r.URL.Scheme, r.URL.Host, r.Host = t.scheme, t.host, t.host // an address with a zone is no text of a URL
	response, err := t.transport.RoundTrip(r)
	if err != nil {
		return err
	}
	_ = response.Body.Close() // only the status counts
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s: status %d", h.Path, response.StatusCode)
	}
	return nil
}
