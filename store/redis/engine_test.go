package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"wsauth/internal/testenv"
	"wsauth/store"
)

// TestOpenRefuses checks that Open refuses servers that are not suitable.
func TestOpenRefuses(t *testing.T) {
	primary := startServer(t, "--requirepass", "hunter2")
	replica := startServer(t, "--replicaof", "127.0.0.1 "+strings.TrimPrefix(primary.address, "127.0.0.1:"), "--masterauth", "wrong")
	clustered := startServer(t, "--cluster-enabled", "yes")
	evicting := startServer(t, "--maxmemory-policy", "allkeys-lru")
	for want, c := range map[string]Config{
		"is a replica":            replica.config(),
		"part of a Redis Cluster": clustered.config(),
		"maxmemory-policy":        evicting.config(),
		"NOAUTH":                  primary.config(),
		"WRONGPASS":               {Addresses: []string{primary.address}, Password: "wrong-secret"},
		"cannot connect":          {Addresses: []string{net.JoinHostPort("127.0.0.1", freePort(t))}, Timeout: 100 * time.Millisecond},
		"no address":              {},
		"but the configuration":   {Addresses: []string{sharedServer(t).address}, Cluster: true},
	} {
		s, err := Open(t.Context(), c)
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", want, err)
		}
	}
	ok := primary.config()
	ok.Password = "hunter2"
	mustOpen(t, ok)
}

// TestJudge checks which servers are suitable by their answer to INFO.
func TestJudge(t *testing.T) {
	s := &Store{config: Config{}.defaults()}
	good := "# Server\r\nredis_version:6.2.0\r\nmaxmemory_policy:noeviction\r\ncluster_enabled:0\r\nrole:master\r\nconnected_slaves:1\r\nmaster_replid:0123456789abcdef0123456789abcdef01234567\r\n"
	for change, want := range map[string]bool{
		"":                              true,
		"redis_version:6.0.20":          false,
		"redis_version:5.9.1":           false,
		"redis_version:7.0.0":           true,
		"redis_version:10.0.0":          true,
		"redis_version:":                false,
		"redis_version:x.y":             false,
		"maxmemory_policy:volatile-ttl": false,
		"maxmemory_policy:":             false,
		"cluster_enabled:1":             false,
		"role:slave":                    false,
		"master_replid:":                false,
		"min_slaves_good_slaves:1":      true,
		"redis_version:7.2.4\r\nvalkey_version:8.0.1": true,
	} {
		if err := s.judge("a", parseInfo(good+change)); (err == nil) != want {
			t.Errorf("%s: %v", change, err)
		}
	}
}

// TestClose checks that Close ends waiting calls, and that a closed store
// refuses others.
func TestClose(t *testing.T) {
	s := mustOpen(t, sharedServer(t).config())
	page, err := s.Read(t.Context(), store.Cursor{})
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() {
		for err == nil {
			err = s.Wait(context.WithoutCancel(t.Context()), page.Next)
		}
		waiting <- err
	}()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-waiting; !errors.Is(err, store.ErrClosed) {
		t.Errorf("Wait: %v", err)
	}
	for name, call := range calls(s) {
		if err := call(t.Context()); !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// calls returns a call of each method that uses the engine.
func calls(s *Store) map[string]func(context.Context) error {
	expires := time.Now().Add(time.Hour)
	session := store.Session{ID: "i", Subject: "s", Current: "c", Started: time.Now(), Expires: expires, Ends: expires}
	return map[string]func(context.Context) error{
		"Now":      func(ctx context.Context) error { _, err := s.Now(ctx); return err },
		"Revoke":   func(ctx context.Context) error { return s.Revoke(ctx, inAnHour("a")) },
		"Overfill": func(ctx context.Context) error { return s.Overfill(ctx, inAnHour("a")) },
		"Publish": func(ctx context.Context) error {
			return s.Publish(ctx, store.Event{Kind: "k", ID: "i", Expires: expires})
		},
		"Read":            func(ctx context.Context) error { _, err := s.Read(ctx, store.Cursor{}); return err },
		"Wait":            func(ctx context.Context) error { return s.Wait(ctx, store.Cursor{}) },
		"RevocationUsage": func(ctx context.Context) error { _, err := s.RevocationUsage(ctx); return err },
		"PutTicket":       func(ctx context.Context) error { return s.PutTicket(ctx, store.TicketKey{1}, nil, expires) },
		"TakeTicket":      func(ctx context.Context) error { _, err := s.TakeTicket(ctx, store.TicketKey{1}); return err },
		"BeginSession":    func(ctx context.Context) error { return s.BeginSession(ctx, session) },
		"RotateSession": func(ctx context.Context) error {
			_, err := s.RotateSession(ctx, store.Rotation{Subject: "s", ID: "i", From: "c", To: "d", Expires: expires})
			return err
		},
		"PresentSession": func(ctx context.Context) error {
			_, err := s.PresentSession(ctx, store.Presentation{Subject: "s", ID: "i", Token: "c"})
			return err
		},
		"EndSession":   func(ctx context.Context) error { return s.EndSession(ctx, "s", "i") },
		"FindSession":  func(ctx context.Context) error { _, err := s.FindSession(ctx, "s", "i"); return err },
		"ListSessions": func(ctx context.Context) error { _, err := s.ListSessions(ctx, "s"); return err },
		"KeepNode": func(ctx context.Context) error {
			_, err := s.KeepNode(ctx, store.Node{ID: "n"}, time.Minute)
			return err
		},
		"DropNode":  func(ctx context.Context) error { return s.DropNode(ctx, "n") },
		"ListNodes": func(ctx context.Context) error { _, err := s.ListNodes(ctx); return err },
		"SetCount": func(ctx context.Context) error {
			_, err := s.SetCount(ctx, store.Count{Node: "n", Key: "k", N: 1, Oldest: time.Now()})
			return err
		},
		"Take":        func(ctx context.Context) error { _, err := s.Take(ctx, "k", time.Second, 1); return err },
		"Refill":      func(ctx context.Context) error { return s.Refill(ctx, "k") },
		"ReadRecord":  func(ctx context.Context) error { _, err := s.ReadRecord(ctx, "r"); return err },
		"WriteRecord": func(ctx context.Context) error { return s.WriteRecord(ctx, "r", store.Record{Version: 1}) },
	}
}

// wantFailures makes all calls at the same time, and asserts that they fail
// within about Config.Timeout.
func wantFailures(t *testing.T, s *Store) {
	t.Helper()
	var wg sync.WaitGroup
	for name, call := range calls(s) {
		wg.Go(func() {
			started := time.Now()
			err := call(t.Context())
			took := time.Since(started)
			var defined bool
			for _, other := range []error{store.ErrNotFound, store.ErrFull, store.ErrInvalid, store.ErrCursor, store.ErrConflict, store.ErrReused} {
				defined = defined || errors.Is(err, other)
			}
			if err == nil || defined || took > s.config.Timeout+time.Second {
				t.Errorf("%s: %v after %v", name, err, took)
			}
		})
	}
	wg.Wait()
}

// TestEngineIsKilled checks that all calls fail while the engine is gone, and
// that the same store works again when the engine is back.
func TestEngineIsKilled(t *testing.T) {
	server := startServer(t)
	s := mustOpen(t, server.config())
	page, err := s.Read(t.Context(), store.Cursor{})
	if err != nil {
		t.Fatal(err)
	}
	server.kill()
	wantFailures(t, s)
	server.start(t)
	eventually(t, func() error { return s.Revoke(t.Context(), inAnHour("a")) })
	if _, err := s.Read(t.Context(), page.Next); !errors.Is(err, store.ErrCursor) {
		t.Errorf("Read after a restart that lost everything: %v, want ErrCursor", err)
	}
	page, err = s.Read(t.Context(), store.Cursor{})
	if err != nil || len(page.Revocations) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
}

// TestScriptsAreLoadedAgain checks that the store loads scripts that the engine
// has forgotten.
func TestScriptsAreLoadedAgain(t *testing.T) {
	server := sharedServer(t)
	s := mustOpen(t, server.config())
	for n := range 3 {
		server.do(t, "SCRIPT", "FLUSH")
		if err := s.Revoke(t.Context(), inAnHour(fmt.Sprint(n))); err != nil {
			t.Error(err)
		}
	}
}

// TestOutOfMemory checks that a full engine refuses revocations and still
// answers readers.
func TestOutOfMemory(t *testing.T) {
	server := startServer(t)
	s := mustOpen(t, server.config())
	if err := s.Revoke(t.Context(), inAnHour("a")); err != nil {
		t.Fatal(err)
	}
	server.do(t, "CONFIG", "SET", "maxmemory", "1")
	if err := s.Revoke(t.Context(), inAnHour("b")); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("Revoke: %v", err)
	}
	page, err := s.Read(t.Context(), store.Cursor{})
	if err != nil || len(page.Revocations) != 1 {
		t.Errorf("Read: %+v, %v", page, err)
	}
	server.do(t, "CONFIG", "SET", "maxmemory", "0")
	if err := s.Revoke(t.Context(), inAnHour("b")); err != nil {
		t.Error(err)
	}
}

// TestReadersAreKilled checks D5: a reader sees every revocation once and in
// order, although all connections are killed again and again.
func TestReadersAreKilled(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	c := server.config()
	writer, reader := mustOpen(t, c), mustOpen(t, c)
	total := testenv.Size(1000, 5000)
	read := make(chan int)
	go func() {
		defer close(read)
		var cursor store.Cursor
		for n := 0; n < total; {
			page, err := reader.Read(t.Context(), cursor)
			if err != nil {
				if errors.Is(err, store.ErrCursor) || t.Context().Err() != nil {
					t.Errorf("Read: %v", err)
					return
				}
				continue
			}
			cursor = page.Next
			for _, r := range page.Revocations {
				if r.ID != fmt.Sprint(n) {
					t.Errorf("read %s, want %d", r.ID, n)
				}
				n++
			}
			if n%100 == 0 {
				read <- n
			}
			_ = reader.Wait(t.Context(), cursor) // it may have been killed
		}
	}()
	go func() {
		for n := range total {
			for writer.Revoke(t.Context(), inAnHour(fmt.Sprint(n))) != nil && t.Context().Err() == nil {
			}
			if n%(total/10) == total/20 {
				if _, err := server.try("CLIENT", "KILL", "TYPE", "normal"); err != nil {
					t.Errorf("CLIENT KILL: %v", err)
				}
			}
		}
	}()
	for range read {
	}
}
