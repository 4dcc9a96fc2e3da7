package redis

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"wsauth/store"
	"wsauth/store/storekit"
)

// A Store is a [store.Cluster] in Redis or Valkey. It is safe for concurrent
// use. Create it with [Open].
type Store struct {
	config Config
	limits store.Limits
	keys   keys
	client rueidis.Client

	// followed is set once the log is known to have had replicas.
	followed atomic.Bool

	sessions usage
	tickets  usage
	live     liveNodes
	watcher  watcher

	closing context.Context
	close   context.CancelFunc
	running sync.WaitGroup
	beats   beats
}

var (
	_ store.Cluster       = (*Store)(nil)
	_ store.UsageReporter = (*Store)(nil)
	_ store.Overfiller    = (*Store)(nil)
)

// Open connects to the engine and checks whether it is suitable. It returns an
// error if the engine does not answer, is older than Redis 6.2, or may evict
// keys. Close the store after use.
func Open(ctx context.Context, c Config) (*Store, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return open(ctx, c.defaults(), beatEvery)
}

// open is like Open, with the given interval between beats. c must be valid.
func open(ctx context.Context, c Config, every time.Duration) (*Store, error) {
	s := &Store{config: c, limits: storekit.Defaults(c.Limits), keys: keys{c.Prefix}}
	s.closing, s.close = context.WithCancel(context.Background())
	s.beats.every = every
	s.live.maxAge = time.Second
	s.watcher.wanted, s.watcher.more = make(chan struct{}), make(chan struct{})
	s.sessions = newUsage(s.keys.usage("sessions"), s.limits.Sessions, time.Hour)
	s.tickets = newUsage(s.keys.usage("tickets"), s.limits.Tickets, 5*time.Second)
	client, err := connect(ctx, c)
	if err != nil {
		return nil, err
	}
	s.client = client
	err = s.inspect(ctx)
	if err == nil {
		err = s.beat(ctx)
	}
	for _, u := range []*usage{&s.sessions, &s.tickets} {
		if err == nil {
			err = s.flush(ctx, u)
		}
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	s.running.Go(s.keepBeating)
	s.running.Go(s.watch)
	return s, nil
}

// connect connects to the engine, or returns soon after ctx is done. NewClient
// takes no context, so it may then still run in the background.
func connect(ctx context.Context, c Config) (rueidis.Client, error) {
	type result struct {
		client rueidis.Client
		err    error
	}
	ctx, cancel := context.WithTimeout(ctx, 5*c.Timeout)
	defer cancel()
	done := make(chan result, 1)
	go func() {
		client, err := rueidis.NewClient(c.options())
		done <- result{client, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			if r.client != nil {
				r.client.Close()
			}
			return nil, fmt.Errorf("store/redis: cannot connect: %w", r.err)
		}
		return r.client, nil
	case <-ctx.Done():
		go func() {
			if r := <-done; r.client != nil {
				r.client.Close()
			}
		}()
		return nil, fmt.Errorf("store/redis: cannot connect: %w", ctx.Err())
	}
}

// Close ends all calls with [store.ErrClosed], and closes the connections.
func (s *Store) Close() error {
	s.close()
	s.running.Wait()
	s.client.Close()
	return nil
}

// Now implements [store.Clock]. It returns the time of the server that has the
// log.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	p, err := s.position(ctx)
	return p.now, err
}
