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

// A Checks holds the health checks of several pools. Pools that reach a server
// in the same way and send it the same request share a check and its result. It
// is safe for concurrent use.
type Checks struct {
	Logger *slog.Logger // logs changes; required

	mu      sync.Mutex
	running map[checkKey]*check
}

// A checkKey identifies a check: the server, how to reach it, what to request,
// and how often.
type checkKey struct {
	scheme, network, dialed string
	// Compared by identity; nil without TLS.
	tls     *tls.Config
	connect time.Duration
	health  Health
}

// A check periodically checks one server, for all targets that use it.
type check struct {
	key       checkKey
	target    *target // with a transport of its own
	condition condition
	users     int // guarded by Checks.mu
	stop      context.CancelFunc
	done      chan struct{} // closed when the check has stopped
}

// A condition is the last known state of a server. Targets that use the same
// check share it: if one cannot connect, the others avoid the server, too.
type condition struct {
	failedCheck atomic.Bool // the last check failed
	// When to try again after a failed connection, in nanoseconds since 1970.
	avoidUntil atomic.Int64
}

// healthy reports whether the last check succeeded and no connection failed
// recently.
func (c *condition) healthy(now time.Time) bool {
	return !c.failedCheck.Load() && c.avoidUntil.Load() <= now.UnixNano()
}

// acquire returns the check for t with the settings of c. If no other target
// uses it, acquire starts it. Each call must be followed by a call of release.
func (all *Checks) acquire(t *target, c Config) (*check, error) {
	key := checkKey{scheme: t.scheme, network: t.network, dialed: t.dialed, connect: c.Connect, health: c.Health}
	if t.network == "tcp" {
		// Host names are case-insensitive.
		key.dialed = strings.ToLower(t.dialed)
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
	// Ignore settings that belong to one route.
	c.Response, c.Logger = c.Health.Timeout, all.Logger
	checked, err := newTarget(t.address, c)
	if err != nil {
		return nil, err
	}
	// Each check opens a connection: this verifies that the server accepts
	// them, and none is kept open in between.
	checked.transport.DisableKeepAlives = true
	ctx, stop := context.WithCancel(context.Background())
	started := &check{key: key, target: checked, users: 1, stop: stop, done: make(chan struct{})}
	checked.condition = &started.condition
	if all.running == nil {
		all.running = map[checkKey]*check{}
	}
	all.running[key] = started
	go started.run(ctx)
	return started, nil
}

// release releases a check. If no other target uses it, release stops it and
// waits until it has stopped.
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

// run checks the server until ctx is done. The first check starts within a
// second, and the second after a random part of the interval, so that checks
// that start together do not stay synchronized.
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
		c.recordResult(c.ask(ctx))
	}
}

// recordResult records the result of a check, and logs changes.
func (c *check) recordResult(err error) {
	if errors.Is(err, ErrTooManyOpen) || errors.Is(err, context.Canceled) {
		return // says nothing about the server
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

// ask sends one request. It returns nil if the server is healthy.
func (c *check) ask(ctx context.Context) error {
	h, t := c.key.health, c.target
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.Path, nil)
	if err != nil {
		return err
	}
	// Set directly, because an address with a zone is not valid in a URL.
	r.URL.Scheme, r.URL.Host, r.Host = t.scheme, t.host, t.host
	response, err := t.transport.RoundTrip(r)
	if err != nil {
		return err
	}
	_ = response.Body.Close() // only the status matters
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s: status %d", h.Path, response.StatusCode)
	}
	return nil
}
