package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"wsauth/store"
)

const (
	// pollEvery is how often a store looks for entries of other nodes.
	pollEvery = 250 * time.Millisecond

	// beatEvery is the age at which a heartbeat is replaced.
	beatEvery = time.Second

	// listenPing is how often the connection that listens is tested.
	listenPing = 10 * time.Second
)

// watch polls the log and renews the heartbeat until the store is closed.
func (s *Store) watch() {
	beating, releasing := s.single(), s.single()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	failed := false
	for {
		h, err := s.look(s.stop, s.unlimited)
		switch {
		case s.closing():
			return
		case err != nil:
			s.position.fail(err)
			if !failed {
				s.config.Logger.Error("store/postgres: the server fails", "error", err)
			}
		case failed:
			s.config.Logger.Info("store/postgres: the server is back")
		}
		failed = err != nil
		if age := h.now - h.known; err == nil && max(age, -age) > beatEvery.Microseconds() {
			beating(func() { s.beat(s.stop, h) })
		}
		if h.waiting {
			releasing(func() { s.release(s.stop) })
		}
		select {
		case <-s.wake:
		case <-ticker.C:
		case <-s.stop.Done():
			return
		}
	}
}

// unlimited is like transact, but for tasks of the store itself: it needs none
// of the connections for calls.
func (s *Store) unlimited(ctx context.Context, m mode, do func(*transaction) error) error {
	_, err := s.run(ctx, m, do)
	return err
}

// single returns a function that runs its argument in the background, unless
// the previous one is still running.
func (s *Store) single() func(func()) {
	running := make(chan struct{}, 1)
	return func(do func()) {
		select {
		case running <- struct{}{}:
			s.tasks.Go(func() {
				do()
				<-running
			})
		default:
		}
	}
}

// wakeUp makes watch poll the log now.
func (s *Store) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// beat replaces a heartbeat that is old or in the future by the time of h.
// Before that, the synchronous standbys must confirm a record that was written
// after h. So the heartbeat of a primary that has lost its standbys, perhaps
// because one of them has replaced it, grows old. Only one node at a time does
// this. beat ignores errors, because they show in the age of the heartbeat.
func (s *Store) beat(ctx context.Context, h head) {
	old, future := h.now-beatEvery.Microseconds(), h.now+beatEvery.Microseconds()
	_ = s.connected(ctx, s.config.Timeout, func(t *transaction) error {
		if h.waiting {
			mine, err := s.standbys(t, `
				select pg_logical_emit_message(true, 'wsauth', '') from heartbeat
				where not at between $1 and $2 and pg_try_advisory_xact_lock($3, $4)`, old, future, s.locks, lockHeartbeat)
			if err != nil || !mine {
				return err
			}
		}
		s.begin(t, relaxed)
		t.queue("update heartbeat set at = $1 where not at between $2 and $3", h.now, old, future)
		t.queue("commit")
		return t.send()
	})
}

// Wait implements [store.Revocations]. Usually it needs no query, because Read
// and watch record the end of the log.
func (s *Store) Wait(ctx context.Context, after store.Cursor) error {
	for first := true; ; first = false {
		h, moved, failed := s.position.state()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case s.closing():
			return store.ErrClosed
		case !first && failed != nil:
			return failed
		case failed != nil || h.check(after) != nil:
			var err error
			if h, err = s.look(ctx, s.transact); err != nil {
				return err
			}
			if err := h.check(after); err != nil {
				return err
			}
		}
		if uint64(h.last) > after.Sequence {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
		case <-s.stop.Done():
		}
	}
}

// channel returns the name of the channel of notifications.
func (s *Store) channel() string { return s.config.Schema }

// listen keeps a connection that receives notifications of changes, until the
// store is closed. Without one, the store still polls.
func (s *Store) listen() {
	failed := false
	for !s.closing() {
		err := s.listenOnce(func() {
			if failed {
				s.config.Logger.Info("store/postgres: notifications are back")
			}
			failed = false
		})
		if err != nil && !failed && !s.closing() {
			s.config.Logger.Warn("store/postgres: no notifications; changes arrive later", "error", err)
			failed = true
		}
		select {
		case <-time.After(beatEvery):
		case <-s.stop.Done():
		}
	}
}

// listenOnce keeps one connection until it fails. It calls connected when the
// connection listens.
func (s *Store) listenOnce(connected func()) error {
	within, cancel := context.WithTimeout(s.stop, s.config.Timeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(within, s.listener)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(s.stop), s.config.Timeout)
		defer cancel()
		_ = conn.Close(closing)
	}()
	if _, err := conn.Exec(within, "listen "+pgx.Identifier{s.channel()}.Sanitize()); err != nil {
		return err
	}
	connected()
	for {
		s.wakeUp() // something may have changed before
		waiting, cancel := context.WithTimeout(s.stop, listenPing)
		_, err := conn.WaitForNotification(waiting)
		idle := waiting.Err() != nil
		cancel()
		switch {
		case s.closing():
			return nil
		case err == nil:
			continue
		case !idle:
			return err
		}
		ping, cancel := context.WithTimeout(s.stop, s.config.Timeout)
		err = conn.Ping(ping)
		cancel()
		if err != nil {
			return err
		}
	}
}
