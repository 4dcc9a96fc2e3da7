package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"wsauth/store"
)

// A mode is the kind of a transaction.
type mode int

const (
	reading mode = iota // read-only, with one snapshot

	// A crash of the server may lose the last few commits.
	relaxed

	// A crash does not lose the commit, but a failover may.
	local

	// Like local, and then the standbys confirm the commit, if the server
	// has synchronous ones.
	confirmed

	// Waits for the standbys as the server is configured.
	synchronous
)

// settings prepares a transaction. It returns whether commits wait for a
// standby by default. All settings end with the transaction. $1 is the
// search_path, and $2 the timeout in milliseconds.
const settings = `
select current_setting('synchronous_standby_names') <> '' and current_setting('synchronous_commit') not in ('off', 'local'),
	set_config('search_path', $1, true),
	set_config('statement_timeout', $2, true),
	set_config('lock_timeout', $2, true),
	set_config('idle_in_transaction_session_timeout', $2, true),
	set_config('client_min_messages', 'warning', true),
	set_config('bytea_output', 'hex', true)`

// A transaction sends statements in batches, each of which takes one round
// trip.
type transaction struct {
	conn    *pgxpool.Conn
	ctx     context.Context
	timeout time.Duration // of each statement
	batch   *pgx.Batch    // not sent yet
	waiting bool          // commits wait for standbys by default
}

// queue adds a statement to the next batch.
func (t *transaction) queue(sql string, args ...any) *pgx.QueuedQuery {
	return t.batch.Queue(sql, args...)
}

// one adds a statement that returns one row, and scans it.
func (t *transaction) one(sql string, args []any, into ...any) {
	t.queue(sql, args...).QueryRow(func(row pgx.Row) error { return row.Scan(into...) })
}

// rowsChanged returns a function that sets *changed to whether a statement
// changed any rows.
func rowsChanged(changed *bool) func(pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		*changed = tag.RowsAffected() > 0
		return nil
	}
}

// send sends the batch and receives its results.
func (t *transaction) send() error {
	batch := t.batch
	t.batch = &pgx.Batch{}
	return t.conn.SendBatch(t.ctx, batch).Close()
}

// transact runs a transaction. do queues its statements, and may send some of
// them. The others are sent with the commit. If do returns an error, the
// transaction is rolled back, and transact returns that error.
func (s *Store) transact(ctx context.Context, m mode, do func(*transaction) error) error {
	return s.detach(ctx, func(within context.Context) error {
		waiting, err := s.runLimited(within, m, do)
		if err == nil && waiting && m == confirmed {
			return s.confirm(within)
		}
		return err
	})
}

// detach calls do with a context that ends after Config.Timeout. If ctx is done
// first, detach waits a little longer for the result and then returns, while do
// continues. Aborting do would close its connection, so clients that hang up
// could make the store reconnect all the time. Cancel requests would not help:
// through PgBouncer, they can hit the statement of another client, and
// PgBouncer 1.18 can crash. After an error, callers must not access variables
// that do may still change.
func (s *Store) detach(ctx context.Context, do func(within context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	result := make(chan error, 1)
	go func() {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.Timeout)
		defer cancel()
		result <- do(within)
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	patience := time.NewTimer(s.config.Timeout / 4)
	defer patience.Stop()
	select {
	case err := <-result:
		return err
	case <-patience.C:
		return ctx.Err()
	}
}

// runLimited waits until fewer than Config.MaxConns calls are in progress, and
// then calls run.
func (s *Store) runLimited(ctx context.Context, m mode, do func(*transaction) error) (waiting bool, err error) {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
		return s.run(ctx, m, do)
	case <-ctx.Done():
		return false, s.failure(fmt.Errorf("all connections are in use: %w", ctx.Err()))
	case <-s.stop.Done():
		return false, store.ErrClosed
	}
}

// run runs a transaction, and reports whether the server is configured to wait
// for standbys.
func (s *Store) run(ctx context.Context, m mode, do func(*transaction) error) (waiting bool, err error) {
	err = s.connected(ctx, s.config.Timeout, func(t *transaction) error {
		s.begin(t, m)
		if err := do(t); err != nil {
			return err
		}
		t.queue("commit")
		err := t.send()
		waiting = t.waiting
		return err
	})
	return waiting, err
}

// connected calls do with a connection. If do returns an error, connected rolls
// back the transaction, if there is one.
func (s *Store) connected(ctx context.Context, timeout time.Duration, do func(*transaction) error) error {
	if s.closing() {
		return store.ErrClosed
	}
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := s.pool.Acquire(within)
	if err != nil {
		return s.failure(err)
	}
	defer conn.Release()
	t := &transaction{conn: conn, ctx: within, timeout: timeout, batch: &pgx.Batch{}}
	if err = do(t); err == nil {
		return nil
	}
	rollback(conn, s.config.Timeout)
	return s.failure(err)
}

// begin queues the statements that start a transaction.
func (s *Store) begin(t *transaction, m mode) {
	if m == reading {
		t.queue("begin isolation level repeatable read, read only")
	} else {
		// Not "read write": an operator may have made the server read-only.
		t.queue("begin isolation level read committed")
	}
	t.queue(settings, s.path, strconv.FormatInt(t.timeout.Milliseconds()*3/4, 10)).QueryRow(func(row pgx.Row) error {
		var rest [6]string
		return row.Scan(&t.waiting, &rest[0], &rest[1], &rest[2], &rest[3], &rest[4], &rest[5])
	})
	switch m {
	case reading, synchronous:
	case relaxed:
		t.queue("set local synchronous_commit to off")
	case local, confirmed:
		// Otherwise a standby that does not answer would delay this
		// commit and all that wait for its locks. See confirm.
		t.queue("set local synchronous_commit to local")
	}
}

// rollback ends a failed transaction, if there is one, so that the connection
// can be used again. If this fails, the pool closes the connection.
func rollback(conn *pgxpool.Conn, timeout time.Duration) {
	if conn.Conn().IsClosed() || conn.Conn().PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout/4)
	defer cancel()
	_, _ = conn.Exec(ctx, "rollback")
}
