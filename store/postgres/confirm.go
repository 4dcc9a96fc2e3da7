package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"wsauth/store"
)

// A confirmer makes concurrent calls share their waits for standbys.
type confirmer struct {
	mu      sync.Mutex
	running bool         // a wait is in progress
	next    []chan error // receive the result of the next one
}

// confirm waits until the synchronous standbys have everything that was
// committed before. It writes a record to the WAL and waits for it, as
// configured by synchronous_commit. The changes themselves do not wait: they
// take effect at once, and if the standbys do not answer, they are accepted but
// not confirmed.
func (s *Store) confirm(ctx context.Context) error {
	result := make(chan error, 1)
	c := &s.confirmer
	c.mu.Lock()
	// A wait in progress may have started before the change, so this call
	// needs the next one.
	c.next = append(c.next, result)
	if !c.running {
		c.running = true
		go s.confirmAll()
	}
	c.mu.Unlock()
	var err error
	select {
	case err = <-result:
	case <-ctx.Done():
		err = ctx.Err()
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errCanceledWait):
		err = fmt.Errorf("no confirmation within %v", s.config.Timeout)
	}
	return fmt.Errorf("%w: %w", store.ErrUnconfirmed, err)
}

// confirmAll waits for the standbys until no call needs a confirmation.
func (s *Store) confirmAll() {
	c := &s.confirmer
	for {
		c.mu.Lock()
		calls := c.next
		c.next, c.running = nil, len(calls) > 0
		c.mu.Unlock()
		if len(calls) == 0 {
			return
		}
		err := s.connected(context.WithoutCancel(s.stop), s.config.Timeout, func(t *transaction) error {
			_, err := s.standbys(t, "select pg_logical_emit_message(true, 'wsauth', '')")
			return err
		})
		for _, call := range calls {
			call <- err
		}
	}
}

// errCanceledWait means that a commit did not wait for the standbys.
var errCanceledWait = errors.New("the wait for a standby was canceled")

// standbys runs a statement in a transaction of its own, and waits until the
// synchronous standbys have what it wrote. It reports whether the statement
// returned or changed any rows.
func (s *Store) standbys(t *transaction, sql string, args ...any) (wrote bool, err error) {
	notes := t.conn.Conn().PgConn().CustomData()
	delete(notes, unconfirmedNote)
	s.begin(t, synchronous)
	t.queue(sql, args...).Exec(rowsChanged(&wrote))
	t.queue(commitAndWait)
	if err := t.send(); err != nil {
		return false, err
	}
	if notes[unconfirmedNote] != nil {
		return false, errCanceledWait
	}
	return wrote, nil
}

// commitAndWait commits and waits for standbys. The comment identifies such
// commits in pg_stat_activity.
const commitAndWait = "commit /* wsauth: waits for standbys */"

// release cancels waits for standbys that have taken so long that their calls
// fail anyway, including those of nodes that no longer exist. Otherwise such a
// commit waits forever: no timeout of the server ends it, and its connection
// remains in use. A role may cancel the statements of its own connections.
func (s *Store) release(ctx context.Context) {
	_ = s.connected(ctx, s.config.Timeout, func(t *transaction) error {
		t.queue(`
			select pg_cancel_backend(pid) from pg_stat_activity
			where wait_event = 'SyncRep' and query = $1 and usename = current_user and datname = current_database()
				and query_start < clock_timestamp() - $2::bigint * interval '1 microsecond'`,
			commitAndWait, s.config.Timeout.Microseconds()/2)
		return t.send()
	})
}

// unconfirmedNote is the key in the data of a connection that noteUnconfirmed
// sets.
const unconfirmedNote = "unconfirmed"

// noteUnconfirmed marks a connection whose server has warned that a commit
// stopped waiting for its standbys. The name of the server's function is the
// only part of the warning that is neither translated nor shared with other
// warnings.
func noteUnconfirmed(conn *pgconn.PgConn, notice *pgconn.Notice) {
	if notice.Routine == "SyncRepWaitForLSN" {
		conn.CustomData()[unconfirmedNote] = true
	}
}
