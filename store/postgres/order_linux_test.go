package postgres

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"wsauth/store"
)

// held is a transaction that has added a revocation and is not committed yet.
type held struct {
	sent   chan struct{} // closed when the server has added it
	commit chan struct{} // closed by the test
	result chan error
}

// hold adds a revocation in a transaction that it holds open.
func hold(t *testing.T, s *Store, id string) held {
	h := held{make(chan struct{}), make(chan struct{}), make(chan error, 1)}
	go func() {
		h.result <- s.connected(context.Background(), s.config.Timeout, func(tx *transaction) error {
			var entries, moved int
			s.begin(tx, local)
			tx.queue("select pg_advisory_xact_lock($1, $2)", s.locks, lockLog)
			tx.one(addRevocations, append(revocationColumns([]store.Revocation{revocation(id)}), 1000), &entries, &moved)
			if err := tx.send(); err != nil || moved != 1 {
				return fmt.Errorf("%d entries moved: %w", moved, err)
			}
			close(h.sent)
			<-h.commit
			tx.queue("commit")
			return tx.send()
		})
	}()
	return h
}

// TestD13OrderOfCommits checks that no reader skips an entry whose transaction
// takes longer to commit than that of a later entry: the later one waits.
func TestD13OrderOfCommits(t *testing.T) {
	t.Parallel()
	c := newConfig(shared(t).dsn("app"))
	one, other := open(t, c), open(t, c)
	if err := one.Revoke(t.Context(), revocation("first")); err != nil {
		t.Fatal(err)
	}
	page, err := other.Read(t.Context(), store.Cursor{})
	if err != nil || len(page.Revocations) != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	slow := hold(t, one, "slow")
	<-slow.sent
	next := hold(t, other, "next")
	fast := make(chan error, 1)
	go func() { fast <- other.Revoke(t.Context(), revocation("fast")) }()
	shared(t).until(t, fmt.Sprintf("select count(*) = 2 from pg_locks where locktype = 'advisory' and not granted and classid = %d", uint32(one.locks)))

	ctx, cancel := context.WithTimeout(t.Context(), 2*pollEvery)
	defer cancel()
	if err := other.Wait(ctx, page.Next); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait before any commit: %v", err)
	}
	if again, err := other.Read(t.Context(), page.Next); err != nil || len(again.Revocations) != 0 || again.Next != page.Next {
		t.Errorf("before any commit: %+v, %v", again, err)
	}
	var seen []string
	follow := func() {
		t.Helper()
		if err := other.Wait(t.Context(), page.Next); err != nil {
			t.Fatal(err)
		}
		if page, err = other.Read(t.Context(), page.Next); err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Revocations {
			seen = append(seen, r.ID)
		}
	}
	close(slow.commit)
	follow()
	close(next.commit)
	for _, result := range []chan error{slow.result, next.result, fast} {
		if err := <-result; err != nil {
			t.Error(err)
		}
	}
	for len(seen) < 3 {
		follow()
	}
	if got := fmt.Sprint(seen); got != "[slow next fast]" && got != "[slow fast next]" {
		t.Errorf("seen %v", got)
	}
}

// TestNotifications checks that with notifications, changes arrive sooner than
// by polling, and that they still arrive when the listening connection is
// ended. The store then replaces it.
func TestNotifications(t *testing.T) {
	t.Parallel()
	server := shared(t)
	c := newConfig(server.dsn("app"))
	c.ListenURL = server.dsn("app") + " application_name=listener"
	reader, writer := open(t, c), open(t, c)
	const listeners = "select count(*) = 2 from pg_stat_activity where application_name = 'listener' and query like 'listen%'"
	server.until(t, listeners)

	arrives := func(id string) time.Duration {
		t.Helper()
		page, err := reader.Read(t.Context(), store.Cursor{})
		if err != nil {
			t.Fatal(err)
		}
		waited := make(chan error, 1)
		go func() { waited <- reader.Wait(t.Context(), page.Next) }()
		if err := writer.Revoke(t.Context(), revocation(id)); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		if err := <-waited; err != nil {
			t.Fatal(err)
		}
		return time.Since(started)
	}
	sooner := 0
	for i := range 20 {
		if arrives(fmt.Sprint(i)) < pollEvery/5 {
			sooner++
		}
	}
	if sooner < 10 { // without notifications, 4
		t.Errorf("%d of 20 changes arrived soon", sooner)
	}
	server.exec(t, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'listener'")
	arrives("after")
	server.until(t, listeners)

	c.ListenURL = "host=/nonexistent"
	reader = open(t, c)
	arrives("without")
}

// TestNothingOutlastsATransaction checks that a store leaves nothing behind in
// the sessions of its connections, which PgBouncer gives to other clients.
func TestNothingOutlastsATransaction(t *testing.T) {
	t.Parallel()
	s := open(t, newConfig(bouncer(t)))
	wantCalls(t, s)
	if _, err := s.RotateSession(t.Context(), store.Rotation{Subject: "ann", ID: "s", From: "0", To: "1", Expires: time.Now().Add(time.Hour)}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("RotateSession: %v", err)
	}
	if _, err := s.ReadRecord(t.Context(), "never"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("ReadRecord: %v", err)
	}
	config, err := pgx.ParseConfig(bouncer(t))
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for range 20 { // whichever connection PgBouncer chooses
		var left string
		err := conn.QueryRow(t.Context(), `
			select concat_ws(' ', current_setting('search_path'), current_setting('statement_timeout'), current_setting('lock_timeout'),
				current_setting('idle_in_transaction_session_timeout'), current_setting('client_min_messages'), current_setting('synchronous_commit'),
				(select count(*) from pg_prepared_statements), (select count(*) from pg_listening_channels()),
				(select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()))`).Scan(&left)
		if want := `"$user", public 0 0 0 notice on 0 0 0`; err != nil || left != want {
			t.Fatalf("%s, %v, want %s", left, err, want)
		}
	}
}
