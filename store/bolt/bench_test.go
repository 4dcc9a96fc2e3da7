package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"wsauth/store"
)

// BenchmarkSync measures how long the file system takes to make a page durable,
// for comparison with BenchmarkRevoke.
func BenchmarkSync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	for b.Loop() {
		if _, err := f.WriteAt(page, 0); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRevoke measures a revocation. It also reports the time as a multiple
// of the time of a bare sync.
func BenchmarkRevoke(b *testing.B) {
	loneAndConcurrent(b, func(ctx context.Context, s *Store) error {
		return s.Revoke(ctx, inAMinute(store.NewSessionID(time.Now())))
	})
}

// BenchmarkTicket puts and takes a ticket of ordinary size.
func BenchmarkTicket(b *testing.B) {
	value := make([]byte, 300)
	var last atomic.Uint64
	loneAndConcurrent(b, func(ctx context.Context, s *Store) error {
		var key store.TicketKey
		copy(key[:], number(last.Add(1)*0x9e3779b97f4a7c15)) // scattered, like hashes
		if err := s.PutTicket(ctx, key, value, time.Now().Add(30*time.Second)); err != nil {
			return err
		}
		_, err := s.TakeTicket(ctx, key)
		return err
	})
}

// BenchmarkRotate rotates one of a thousand sessions.
func BenchmarkRotate(b *testing.B) {
	var next atomic.Uint64
	var tokens [1000]atomic.Uint64
	loneAndConcurrent(b, func(ctx context.Context, s *Store) error {
		n := next.Add(1) % uint64(len(tokens))
		id, end := fmt.Sprint("session-", n), time.Now().Add(time.Hour)
		from := tokens[n].Load()
		r := store.Rotation{Subject: id, ID: id, From: fmt.Sprint(from), To: fmt.Sprint(from + 1), Grace: time.Hour, Expires: end}
		session, err := s.RotateSession(ctx, r)
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrReused) { // the session does not exist, or other calls have rotated it twice
			tokens[n].Store(0)
			err = s.BeginSession(ctx, store.Session{ID: id, Subject: id, Current: "0", Started: time.Now(), Expires: end, Ends: end})
			if errors.Is(err, store.ErrInvalid) { // another call has begun the session
				err = nil
			}
			return err
		}
		if err == nil && session.Current == r.To {
			tokens[n].Store(from + 1)
		}
		return err
	})
}

// loneAndConcurrent measures a call from a single caller, and from 200 callers
// at once.
func loneAndConcurrent(b *testing.B, call func(context.Context, *Store) error) {
	b.Run("lone", func(b *testing.B) {
		s := open(b, newPath(b), store.Limits{})
		sync := bareSync(b)
		for b.Loop() {
			if err := call(b.Context(), s); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(sync), "syncs")
	})
	b.Run("concurrent", func(b *testing.B) {
		s := open(b, newPath(b), store.Limits{})
		sync := bareSync(b)
		b.SetParallelism(100)
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := call(b.Context(), s); err != nil {
					b.Error(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(sync), "syncs")
	})
}

// bareSync returns how long the file system takes to make a page durable.
func bareSync(b *testing.B) time.Duration {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const rounds = 50
	page := make([]byte, 4096)
	started := time.Now()
	for range rounds {
		_, err := f.WriteAt(page, 0)
		if err := errors.Join(err, f.Sync()); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(started) / rounds
}

// BenchmarkRead measures calls that only read, in a file of ten thousand
// sessions.
func BenchmarkRead(b *testing.B) {
	s := open(b, newPath(b), store.Limits{})
	s.db.bolt.NoSync = true
	end := time.Now().Add(time.Hour)
	var all []store.Session
	for n := range 10_000 {
		session, err := store.Session{ID: fmt.Sprint("session-", n), Subject: fmt.Sprint("user-", n), Current: "0", Started: time.Now(), Expires: end, Ends: end}.Canonical()
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, session)
	}
	err := s.writer.update(func(t *transaction) error {
		var err error
		for _, session := range all {
			err = errors.Join(err, t.sessions.begin(session, time.Now(), len(all)))
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("present", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.PresentSession(b.Context(), store.Presentation{Subject: "user-77", ID: "session-77", Token: "0"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			if all, err := s.ListSessions(b.Context(), "user-77"); err != nil || len(all) != 1 {
				b.Fatal(all, err)
			}
		}
	})
}
