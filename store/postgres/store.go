package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"wsauth/store"
)

// A Store is a [store.Cluster] in a PostgreSQL database. It is safe for
// concurrent use. Create it with [Open].
type Store struct {
	config   Config
	path     string // search_path: the quoted schema
	locks    int32  // first key of the advisory locks
	pool     *pgxpool.Pool
	listener *pgx.ConnConfig // nil if there is no ListenURL

	slots chan struct{} // holds a value for each call in progress

	position  position
	appender  appender
	confirmer confirmer
	sweeper   sweeper

	wake   chan struct{} // asks watch to look at the log; holds one value
	stop   context.Context
	cancel context.CancelFunc // ends stop
	tasks  sync.WaitGroup
	once   sync.Once // for Close
}

var (
	_ store.Cluster       = (*Store)(nil)
	_ store.Overfiller    = (*Store)(nil)
	_ store.UsageReporter = (*Store)(nil)
)

// Open connects to a database, and creates or upgrades the tables. It returns
// [ErrSchema] if their version is newer than that of this package, or if it is
// older and Config.SkipMigrations is set.
//
// The store watches the log and sweeps expired rows in the background until it
// is closed.
func Open(ctx context.Context, config Config) (*Store, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	pooled, err := config.pool()
	if err != nil {
		return nil, err
	}
	s := &Store{
		config:   config,
		path:     pgx.Identifier{config.Schema}.Sanitize() + ", pg_temp",
		locks:    lockOf(config.Schema),
		position: newPosition(),
		slots:    make(chan struct{}, config.MaxConns),
		wake:     make(chan struct{}, 1),
	}
	if config.ListenURL != "" {
		if s.listener, err = config.listener(); err != nil {
			return nil, err
		}
	}
	// The pool outlives ctx.
	s.stop, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if s.pool, err = pgxpool.NewWithConfig(s.stop, pooled); err != nil {
		s.cancel()
		return nil, fmt.Errorf("store/postgres: %w", err)
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.tasks.Go(s.watch)
	if s.listener != nil {
		s.tasks.Go(s.listen)
	}
	return s, nil
}

// prepare migrates the tables, reads the head of the log for the first time,
// and writes a heartbeat if necessary.
func (s *Store) prepare(ctx context.Context) error {
	if err := s.migrate(ctx); err != nil {
		return err
	}
	h, err := s.look(ctx, s.transact)
	if err != nil {
		return err
	}
	s.beat(ctx, h)
	return nil
}

// Close waits for pending calls and closes all connections. Later calls of
// other methods return [store.ErrClosed]. Close may be called again.
func (s *Store) Close() error {
	s.once.Do(func() {
		s.cancel()
		s.tasks.Wait()
		s.pool.Close()
	})
	return nil
}

// closing reports whether Close was called.
func (s *Store) closing() bool { return s.stop.Err() != nil }

// Now implements [store.Clock].
func (s *Store) Now(ctx context.Context) (now time.Time, err error) {
	var at int64
	err = s.transact(ctx, reading, func(t *transaction) error {
		t.one("select now from clock", nil, &at)
		return nil
	})
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMicro(at).UTC(), nil
}
