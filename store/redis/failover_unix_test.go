//go:build unix

package redis

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"wsauth/store"
)

// startReplica starts a replica of a primary, both with the password "p", and
// waits until it has all data.
func startReplica(t testing.TB, primary *server) *server {
	t.Helper()
	host, port, _ := net.SplitHostPort(primary.address)
	replica := startServer(t, "--requirepass", "p", "--masterauth", "p", "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	replica.password = "p"
	wantLinked(t, primary, replica)
	return replica
}

// wantLinked waits until a replica follows its primary and has confirmed
// something: until then, its primary sends it nothing new.
func wantLinked(t testing.TB, primary, replica *server) {
	t.Helper()
	eventually(t, func() error {
		link, state := replica.info(t, "master_link_status"), primary.info(t, "slave0")
		if link != "up" || !strings.Contains(state, "state=online") || strings.Contains(state, "offset=0,") {
			return fmt.Errorf("the link is %s, and the replica is %s", link, state)
		}
		return nil
	})
}

// startPrimary starts a primary with the password "p".
func startPrimary(t testing.TB) *server {
	t.Helper()
	primary := startServer(t, "--requirepass", "p", "--masterauth", "p", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
	primary.password = "p"
	return primary
}

// startSentinel starts a Sentinel that monitors a primary as "main".
func startSentinel(t testing.TB, primary *server) *server {
	t.Helper()
	host, port, _ := net.SplitHostPort(primary.address)
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor main %s %s 1\nsentinel auth-pass main p\nsentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n", host, port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel := startServer(t, file, "--sentinel")
	eventually(t, func() error {
		if text := sentinel.do(t, "SENTINEL", "MASTER", "main"); !strings.Contains(text, "num-slaves:1") && !strings.Contains(text, "num-slaves 1") {
			return errors.New(text)
		}
		return nil
	})
	return sentinel
}

// cutOff makes a replica lose its link to the primary.
func cutOff(t testing.TB, primary, replica *server) {
	t.Helper()
	replica.do(t, "CONFIG", "SET", "masterauth", "wrong")
	primary.do(t, "CLIENT", "KILL", "TYPE", "replica")
	eventually(t, func() error {
		if n := primary.info(t, "connected_slaves"); n != "0" {
			return fmt.Errorf("%s replicas", n)
		}
		return nil
	})
}

// pageAfter reads the page after a cursor, or from the beginning if the cursor
// is no longer valid.
func pageAfter(t testing.TB, s *Store, cursor store.Cursor) store.Page {
	t.Helper()
	page, err := s.Read(t.Context(), cursor)
	if errors.Is(err, store.ErrCursor) {
		page, err = s.Read(t.Context(), store.Cursor{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// TestReplicaConfirms checks that once the log has had a replica, revocations
// and beats are confirmed only if a replica has them.
func TestReplicaConfirms(t *testing.T) {
	t.Parallel()
	primary := startPrimary(t)
	c := primary.config()
	c.Password = "p"
	var log logBuffer
	c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s := mustOpen(t, c)
	if err := s.Revoke(t.Context(), inAnHour("alone")); err != nil || s.required() != 0 {
		t.Errorf("without a replica: %v, %d", err, s.required())
	}
	c.Replicas = 1
	if err := mustOpen(t, c).Revoke(t.Context(), inAnHour("asked")); !errors.Is(err, store.ErrUnconfirmed) {
		t.Errorf("without the replica that the configuration asks for: %v", err)
	}
	c.Replicas = 0

	before, err := s.Read(t.Context(), store.Cursor{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutTicket(t.Context(), store.TicketKey{1}, nil, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	replica := startReplica(t, primary)
	if err := s.Revoke(t.Context(), inAnHour("first")); err != nil || s.required() != 1 {
		t.Errorf("with the first replica: %v, %d", err, s.required())
	}
	if _, err := s.Read(t.Context(), before.Next); !errors.Is(err, store.ErrCursor) { // the replication ID has changed
		t.Errorf("Read after the first replica: %v", err)
	}
	if _, err := s.TakeTicket(t.Context(), store.TicketKey{1}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("TakeTicket after the first replica: %v", err)
	}
	wantKnown(t, s, store.Page{})

	cutOff(t, primary, replica)
	started := time.Now()
	if err := s.Revoke(t.Context(), inAnHour("lost")); !errors.Is(err, store.ErrUnconfirmed) || time.Since(started) > 2*time.Second {
		t.Errorf("without its replica: %v after %v", err, time.Since(started))
	}
	if err := s.Revoke(t.Context(), inAnHour("lost")); !errors.Is(err, store.ErrUnconfirmed) {
		t.Errorf("again: %v", err)
	}
	if err := s.Publish(t.Context(), store.Event{Kind: "k", ID: "i", Expires: time.Now().Add(time.Hour)}); !errors.Is(err, store.ErrUnconfirmed) {
		t.Errorf("Publish: %v", err)
	}
	if other := mustOpen(t, c); other.required() != 1 {
		t.Errorf("another node requires %d replicas", other.required())
	}
	page := pageAfter(t, s, store.Cursor{})
	if len(page.Revocations) != 4 || len(page.Events) != 1 {
		t.Errorf("%d revocations, %d events", len(page.Revocations), len(page.Events))
	}
	known := page.Known
	for beats := page.Next.Sequence + 3; page.Next.Sequence < beats; {
		if err := s.Wait(t.Context(), page.Next); err != nil {
			t.Fatal(err)
		}
		if page = pageAfter(t, s, page.Next); !page.Known.IsZero() && page.Known.After(known) {
			t.Errorf("Known moves from %v to %v without a replica", known, page.Known)
		}
	}
	wantLogged(t, &log, "replicas do not confirm the log")
	replica.do(t, "CONFIG", "SET", "masterauth", "p")
	wantLinked(t, primary, replica)
	wantLogged(t, &log, "replicas confirm the log again")
	if err := s.Revoke(t.Context(), inAnHour("lost")); err != nil {
		t.Errorf("with the replica again: %v", err)
	}
	wantKnown(t, s, page)
}

// A logBuffer collects a log.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// wantLogged waits until a log has a message.
func wantLogged(t testing.TB, b *logBuffer, message string) {
	t.Helper()
	eventually(t, func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if !strings.Contains(b.text.String(), message) {
			return fmt.Errorf("the log lacks %q:\n%s", message, b.text.String())
		}
		return nil
	})
}

// wantKnown waits until Known is later than that of a page.
func wantKnown(t testing.TB, s *Store, page store.Page) {
	t.Helper()
	known := page.Known
	eventually(t, func() error {
		if page = pageAfter(t, s, page.Next); !page.Known.After(known) {
			return fmt.Errorf("Known stays at %v", page.Known)
		}
		return nil
	})
}

// TestFailover checks D6: a replica that misses acknowledged writes replaces
// the primary, which has been killed or does not answer. Readers learn of it,
// no ticket is taken twice, and a lost rotation does not look like theft.
func TestFailover(t *testing.T) {
	for name, fail := range map[string]func(t *testing.T, primary *server){
		"killed":  func(_ *testing.T, primary *server) { primary.kill() },
		"stopped": func(t *testing.T, primary *server) { primary.signal(t, syscall.SIGSTOP) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testFailover(t, fail)
		})
	}
}

func testFailover(t *testing.T, fail func(t *testing.T, primary *server)) {
	primary := startPrimary(t)
	replica := startReplica(t, primary)
	sentinel := startSentinel(t, primary)
	s := mustOpen(t, Config{Addresses: []string{sentinel.address}, Master: "main", Password: "p", Prefix: newPrefix(), Logger: logTo(t)})
	now := time.Now()
	expires := now.Add(time.Hour)
	session := store.Session{ID: "i", Subject: "s", Current: "0", Started: now, Expires: expires, Ends: expires}
	if err := s.BeginSession(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	ticket := store.TicketKey{1}
	if err := s.PutTicket(t.Context(), ticket, []byte("once"), expires); err != nil {
		t.Fatal(err)
	}
	if err := s.Revoke(t.Context(), inAnHour("kept")); err != nil { // and everything before it
		t.Fatal(err)
	}
	page := pageAfter(t, s, store.Cursor{})

	cutOff(t, primary, replica)
	if value, err := s.TakeTicket(t.Context(), ticket); err != nil || string(value) != "once" {
		t.Errorf("TakeTicket: %q, %v", value, err)
	}
	rotation := store.Rotation{Subject: "s", ID: "i", From: "0", To: "1", Expires: expires}
	if session, err := s.RotateSession(t.Context(), rotation); err != nil || session.Generation != 1 {
		t.Errorf("RotateSession: %+v, %v", session, err)
	}
	if err := s.Revoke(t.Context(), inAnHour("lost")); !errors.Is(err, store.ErrUnconfirmed) {
		t.Errorf("Revoke: %v", err)
	}
	if page = pageAfter(t, s, page.Next); len(page.Revocations) != 1 {
		t.Errorf("%v", page.Revocations)
	}
	fail(t, primary)
	failed := time.Now()
	eventually(t, func() error {
		if _, err := s.Read(t.Context(), page.Next); !errors.Is(err, store.ErrCursor) {
			return fmt.Errorf("Read after the failover: %w", err)
		}
		return nil
	})
	t.Logf("failover after %v", time.Since(failed))
	all, _, _ := readAll(t, s)
	if len(all) != 1 || all[0].ID != "kept" {
		t.Errorf("%v", all)
	}
	if value, err := s.TakeTicket(t.Context(), ticket); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the ticket is taken twice: %q, %v", value, err)
	}
	rotation.From, rotation.To, rotation.Generation = "1", "2", 1
	if session, err := s.RotateSession(t.Context(), rotation); err != nil || session.Current != "2" || session.Generation != 2 {
		t.Errorf("RotateSession with the token of a lost rotation: %+v, %v", session, err)
	}
	if err := s.Revoke(t.Context(), inAnHour("after")); !errors.Is(err, store.ErrUnconfirmed) {
		t.Errorf("Revoke without a replica of the new primary: %v", err)
	}
}

// TestStoppedServer checks D3 and D7: while a server neither answers nor closes
// its connections, calls fail in time, and they succeed when it continues.
func TestStoppedServer(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	s := mustOpen(t, server.config())
	if err := s.Revoke(t.Context(), inAnHour("before")); err != nil {
		t.Fatal(err)
	}
	server.signal(t, syscall.SIGSTOP)
	for range 2 {
		wantFailures(t, s)
	}
	started := time.Now()
	if other, err := Open(t.Context(), server.config()); err == nil || time.Since(started) > 7*time.Second {
		t.Errorf("Open: %v, %v after %v", other, err, time.Since(started))
	}
	server.signal(t, syscall.SIGCONT)
	eventually(t, func() error { return s.Revoke(t.Context(), inAnHour("after")) })
	if all, _, _ := readAll(t, s); len(all) < 2 || all[0].ID != "before" {
		t.Errorf("%v", all)
	}
}
