package postgres

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"wsauth/store"
)

// newStandby creates a standby of a server, and starts it.
func newStandby(t *testing.T, primary *server) *server {
	t.Helper()
	dir, remove := newDir(t)
	s := &server{dir: dir, data: filepath.Join(dir, "data")}
	run(t, program(t, "pg_basebackup"), "-h", primary.dir, "-p", "5432", "-U", "postgres", "-D", s.data, "-R", "-X", "stream", "--checkpoint=fast", "--no-sync")
	s.start(t)
	t.Cleanup(func() {
		s.process.stop(syscall.SIGQUIT)
		remove()
	})
	return s
}

// synchronize makes a server wait for its standbys.
func (s *server) synchronize(t *testing.T) {
	t.Helper()
	s.exec(t, "alter system set synchronous_standby_names = '*'")
	s.exec(t, "select pg_reload_conf()")
	s.until(t, "select current_setting('synchronous_standby_names') = '*' and exists (select from pg_stat_replication where sync_state = 'sync')")
}

// until waits until a query returns true.
func (s *server) until(t *testing.T, query string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		switch text := s.query(t, query); {
		case text == "true":
			return
		case time.Now().After(end):
			t.Fatalf("%s: %s", query, text)
		}
	}
}

func revocation(id string) store.Revocation {
	return store.Revocation{Target: store.TargetToken, ID: id, Expires: time.Now().Add(time.Hour).Truncate(time.Second).UTC()}
}

// wantSeen asserts that a node sees revocations of tokens.
func wantSeen(t *testing.T, s *Store, ids ...string) {
	t.Helper()
	page, err := s.Read(t.Context(), store.Cursor{})
	seen := map[string]bool{}
	for _, r := range page.Revocations {
		seen[r.ID] = true
	}
	for _, id := range ids {
		if !seen[id] {
			t.Errorf("no revocation of %s: %v, %v", id, seen, err)
		}
	}
}

// TestStoppedStandby runs testStoppedStandby with and without PgBouncer.
func TestStoppedStandby(t *testing.T) {
	t.Run("direct", func(t *testing.T) {
		t.Parallel()
		primary, c := newServerConfig(t)
		testStoppedStandby(t, primary, c)
	})
	t.Run("pgbouncer", func(t *testing.T) {
		t.Parallel()
		primary, c := newServerConfig(t)
		dsn, stop := primary.bounce(t)
		t.Cleanup(stop)
		c.URL = dsn
		testStoppedStandby(t, primary, c)
	})
}

// testStoppedStandby checks that while a synchronous standby does not answer,
// changes are accepted but not confirmed within about a second, however many
// there are. They must be in effect at once, and Page.Known must not advance.
func testStoppedStandby(t *testing.T, primary *server, c Config) {
	standby := newStandby(t, primary)
	primary.synchronize(t)
	one, other := open(t, c), open(t, c)
	session := store.Session{ID: "s", Subject: "ann", Current: "0", Started: time.Now(), Expires: time.Now().Add(time.Hour), Ends: time.Now().Add(time.Hour)}
	if err := errors.Join(one.Revoke(t.Context(), revocation("before")), one.BeginSession(t.Context(), session)); err != nil {
		t.Fatal(err)
	}
	waitForKnown(t, one, time.Now())

	standby.signalAll(t, syscall.SIGSTOP)
	stopped := time.Now()
	const calls = 50
	var ids []string
	var wg sync.WaitGroup
	for i := range calls {
		ids = append(ids, fmt.Sprint(i))
		wg.Go(func() {
			started := time.Now()
			err := one.Revoke(t.Context(), revocation(fmt.Sprint(i)))
			if took := time.Since(started); !errors.Is(err, store.ErrUnconfirmed) || took > 3*time.Second {
				t.Errorf("Revoke: %v after %v, want ErrUnconfirmed", err, took)
			}
		})
	}
	rotated, err := one.RotateSession(t.Context(), store.Rotation{Subject: "ann", ID: "s", From: "0", To: "1", Expires: session.Expires})
	if !errors.Is(err, store.ErrUnconfirmed) || rotated.Current != "1" {
		t.Errorf("RotateSession: %+v, %v, want ErrUnconfirmed and the session", rotated, err)
	}
	wg.Wait()
	wantSeen(t, other, ids...)
	if err := one.PutTicket(t.Context(), store.TicketKey{1}, nil, time.Now().Add(time.Hour)); err != nil {
		t.Errorf("PutTicket: %v", err)
	}
	for range 3 {
		page, err := other.Read(t.Context(), store.Cursor{})
		if err != nil || page.Known.After(stopped.Add(100*time.Millisecond)) {
			t.Errorf("Known is %v, %v; the standby was stopped at %v", page.Known, err, stopped)
		}
		if err := one.EndSession(t.Context(), "ann", "never"); !errors.Is(err, store.ErrUnconfirmed) {
			t.Errorf("EndSession: %v, want ErrUnconfirmed", err)
		}
	}
	if _, err := other.FindSession(t.Context(), "ann", "s"); err != nil {
		t.Errorf("FindSession: %v", err)
	}
	// No waits are left behind on the server.
	primary.until(t, "select count(*) <= 3 from pg_stat_activity where wait_event = 'SyncRep'")

	standby.signalAll(t, syscall.SIGCONT)
	waitForKnown(t, one, time.Now())
	if err := one.Revoke(t.Context(), revocation("after")); err != nil {
		t.Errorf("Revoke: %v", err)
	}
	wantSeen(t, other, append(ids, "before", "after")...)
}

// TestD6Failover checks that after the promotion of a standby that has missed
// commits, cursors and tickets are void, and that the former primary is
// recognized when a node meets it again.
func TestD6Failover(t *testing.T) {
	t.Parallel()
	primary, c := newServerConfig(t)
	standby := newStandby(t, primary)
	address := filepath.Join(t.TempDir(), "current")
	point := func(to *server) {
		_ = os.Remove(address)
		if err := os.Symlink(to.dir, address); err != nil {
			t.Fatal(err)
		}
	}
	point(primary)
	c.URL = fmt.Sprintf("host=%s port=5432 user=app dbname=postgres", address)
	s := open(t, c)
	put := func(key byte) {
		t.Helper()
		if err := s.PutTicket(t.Context(), store.TicketKey{key}, []byte("value"), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	put(11)
	if err := s.Revoke(t.Context(), revocation("kept")); err != nil {
		t.Fatal(err)
	}
	primary.until(t, "select coalesce(bool_and(replay_lsn >= pg_current_wal_lsn()), false) from pg_stat_replication")
	standby.signalAll(t, syscall.SIGSTOP)
	put(12)
	if err := s.Revoke(t.Context(), revocation("lost")); err != nil {
		t.Fatal(err)
	}
	wantSeen(t, s, "kept", "lost")
	page, err := s.Read(t.Context(), store.Cursor{})
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() { waited <- s.Wait(t.Context(), page.Next) }()

	primary.process.stop(syscall.SIGKILL)
	standby.signalAll(t, syscall.SIGCONT)
	run(t, program(t, "pg_ctl"), "promote", "-w", "-D", standby.data)
	point(standby)
	if err := <-waited; err == nil {
		t.Error("Wait returns no error")
	}
	wantCalls(t, s)
	if _, err := s.Read(t.Context(), page.Next); !errors.Is(err, store.ErrCursor) {
		t.Errorf("Read: %v, want ErrCursor", err)
	}
	if err := s.Wait(t.Context(), page.Next); !errors.Is(err, store.ErrCursor) {
		t.Errorf("Wait: %v, want ErrCursor", err)
	}
	for _, key := range []byte{11, 12} {
		if value, err := s.TakeTicket(t.Context(), store.TicketKey{key}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("ticket %d: %q, %v, want ErrNotFound", key, value, err)
		}
	}
	wantSeen(t, s, "kept")
	if err := s.Revoke(t.Context(), revocation("lost")); err != nil { // nodes write back what was lost
		t.Fatal(err)
	}
	put(11)
	if value, err := s.TakeTicket(t.Context(), store.TicketKey{11}); err != nil || string(value) != "value" {
		t.Errorf("a new ticket: %q, %v", value, err)
	}

	point(primary)
	primary.start(t)
	s.pool.Reset()
	if _, err := s.Read(t.Context(), store.Cursor{}); !errors.Is(err, ErrStandby) {
		t.Errorf("Read from the former primary: %v, want ErrStandby", err)
	}
	point(standby)
	wantCalls(t, s)
	wantSeen(t, s, "kept", "lost")
}

// TestStandbyIsRefused checks that a store does not connect to a standby, and
// finds the primary among several hosts.
func TestStandbyIsRefused(t *testing.T) {
	t.Parallel()
	primary, c := newServerConfig(t)
	standby := newStandby(t, primary)
	open(t, c)
	primary.until(t, "select coalesce(bool_and(replay_lsn >= pg_current_wal_lsn()), false) from pg_stat_replication")
	c.URL = standby.dsn("app")
	if s, err := Open(t.Context(), c); err == nil {
		t.Error("a standby is accepted")
		_ = s.Close()
	}
	c.URL = fmt.Sprintf("host=%s,%s port=5432,5432 user=app dbname=postgres", standby.dir, primary.dir)
	wantCalls(t, open(t, c))
}

// TestReadOnlyServer checks that a server that an operator has made read-only
// can be read, but that Page.Known does not advance.
func TestReadOnlyServer(t *testing.T) {
	t.Parallel()
	server, c := newServerConfig(t)
	s := open(t, c)
	wantCalls(t, s)
	server.exec(t, "alter system set default_transaction_read_only = on")
	server.exec(t, "select pg_reload_conf()")
	for end := time.Now().Add(20 * time.Second); ; {
		err := s.Revoke(t.Context(), revocation("b"))
		if errors.Is(err, ErrStandby) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("Revoke: %v, want ErrStandby", err)
		}
	}
	stopped := time.Now()
	for time.Since(stopped) < 1500*time.Millisecond {
		page, err := s.Read(t.Context(), store.Cursor{})
		if err != nil || page.Known.After(stopped) {
			t.Fatalf("Known is %v, %v; the server became read-only before %v", page.Known, err, stopped)
		}
	}
	if usage, err := s.RevocationUsage(t.Context()); err != nil || !usage.ReadOnly {
		t.Errorf("%+v, %v, want ReadOnly", usage, err)
	}
	server.exec(t, "alter system reset default_transaction_read_only")
	server.exec(t, "select pg_reload_conf()")
	wantCalls(t, s)
	waitForKnown(t, s, time.Now())
}

// TestD11RestoredDisk checks that if the disk of a server is replaced by an
// older copy, its log has another epoch, even though its timeline is the same.
func TestD11RestoredDisk(t *testing.T) {
	t.Parallel()
	server, c := newServerConfig(t)
	s := open(t, c)
	if err := s.Revoke(t.Context(), revocation("kept")); err != nil {
		t.Fatal(err)
	}
	server.process.stop(syscall.SIGINT)
	run(t, "/bin/cp", "-a", server.data, server.data+".copy")
	server.start(t)
	wantCalls(t, s)
	for i := range 20 {
		if err := s.Revoke(t.Context(), revocation(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	page, err := s.Read(t.Context(), store.Cursor{})
	if err != nil {
		t.Fatal(err)
	}
	server.process.stop(syscall.SIGQUIT)
	server.data += ".copy"
	server.start(t)
	for end := time.Now().Add(20 * time.Second); ; {
		again, err := s.Read(t.Context(), store.Cursor{})
		if err == nil {
			if again.Next.Epoch == page.Next.Epoch {
				t.Errorf("%+v", again)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	if _, err := s.Read(t.Context(), page.Next); !errors.Is(err, store.ErrCursor) {
		t.Errorf("Read: %v, want ErrCursor", err)
	}
}
