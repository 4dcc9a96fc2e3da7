package revindex

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// startIndex runs an index until the end of the test, and waits until it is
// idle.
func startIndex(t *testing.T, c Config) *Index {
	t.Helper()
	x, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- x.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
	return x
}

// TestIndexReadsALongLogAtOnce checks that many pages are read without a pause,
// and nothing is logged.
func TestIndexReadsALongLogAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := memory.New(store.Limits{}), &logLines{}
		const n = 3*store.MaxPage + 1
		for i := range n {
			mustRevoke(t, log, store.Revocation{Target: store.TargetToken, ID: fmt.Sprint(i), Expires: time.Now().Add(time.Minute)})
		}
		started := time.Now()
		x := startIndex(t, Config{Log: log, Logger: lines.logger()})
		for _, i := range []int{0, store.MaxPage, n - 1} {
			if !x.Revoked(&token.Claims{ID: fmt.Sprint(i)}) {
				t.Errorf("%d is not revoked", i)
			}
		}
		if took := time.Since(started); took != 0 || lines.String() != "" {
			t.Errorf("after %v: %s", took, lines.String())
		}
	})
}

func mustRevoke(t *testing.T, log store.Revocations, revocations ...store.Revocation) {
	t.Helper()
	if err := log.Revoke(t.Context(), revocations...); err != nil {
		t.Fatal(err)
	}
}

func inAMinute(id string) store.Revocation {
	return store.Revocation{Target: store.TargetToken, ID: id, Expires: time.Now().Add(time.Minute)}
}

// A broken log can fail, hang, or report an unknown cursor.
type broken struct {
	store.Revocations
	fault atomic.Pointer[error]
	hang  atomic.Bool
	calls atomic.Int64
}

func (b *broken) fail(err error) { b.fault.Store(&err) }

func (b *broken) Read(ctx context.Context, after store.Cursor) (store.Page, error) {
	b.calls.Add(1)
	if b.hang.Load() {
		<-ctx.Done()
		return store.Page{}, ctx.Err()
	}
	if err := b.fault.Load(); err != nil && *err != nil {
		return store.Page{}, *err
	}
	return b.Revocations.Read(ctx, after)
}

func TestIndexFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory.New(store.Limits{})
		old := inAMinute("old")
		mustRevoke(t, log, old)
		var x *Index
		var told []string
		x, err := New(Config{Log: log, OnRevoke: func(r store.Revocation) {
			if !x.Revoked(&token.Claims{ID: r.ID}) {
				t.Errorf("notified of %s before it is in effect", r.ID)
			}
			told = append(told, r.ID)
		}})
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-x.Ready():
			t.Error("ready before Run")
		default:
		}
		if !x.Contact().IsZero() || x.Revoked(&token.Claims{ID: "old"}) {
			t.Error("an index that never ran has had contact")
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- x.Run(ctx) }()
		<-x.Ready()
		started := time.Now()
		mustRevoke(t, log, inAMinute("new"), inAMinute("newer"))
		mustRevoke(t, log, old)
		synctest.Wait()
		if time.Since(started) != 0 {
			t.Errorf("news took %v", time.Since(started))
		}
		if !x.Revoked(&token.Claims{ID: "new"}) || x.Revoked(&token.Claims{ID: "other", Subject: "new", SessionID: "new"}) {
			t.Error("the index does not have the revocation")
		}
		if want := []string{"old", "new", "newer"}; !slices.Equal(told, want) || x.Len() != len(want) {
			t.Errorf("notified of %v, has %d, want %v", told, x.Len(), want)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
}

// TestIndexTargets checks that a revocation of each target revokes exactly the
// tokens that it concerns.
func TestIndexTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		expires := now.Add(time.Hour)
		log := memory.New(store.Limits{})
		x := startIndex(t, Config{Log: log})
		past := now.Add(-time.Minute)
		for name, tt := range map[string]struct {
			revocation store.Revocation
			hit, miss  token.Claims
		}{
			"token":   {store.Revocation{Target: store.TargetToken, ID: "j", Expires: expires}, token.Claims{ID: "j"}, token.Claims{ID: "k", Subject: "j", SessionID: "j"}},
			"session": {store.Revocation{Target: store.TargetSession, ID: "s", Expires: expires}, token.Claims{SessionID: "s"}, token.Claims{ID: "s", Subject: "s"}},
			"older":   {store.Revocation{Target: store.TargetOlder, ID: "o", Generation: 3, Expires: expires}, token.Claims{SessionID: "o", Type: token.TypeAccess, Generation: 2}, token.Claims{SessionID: "o", Type: token.TypeAccess, Generation: 3}},
			"subject": {store.Revocation{Target: store.TargetSubject, ID: "u", Before: now, Expires: expires}, token.Claims{Subject: "u", IssuedAt: past}, token.Claims{Subject: "u", IssuedAt: now.Add(time.Second)}},
		} {
			if x.Revoked(&tt.hit) {
				t.Errorf("%s: revoked too early", name)
			}
			mustRevoke(t, log, tt.revocation)
			synctest.Wait()
			if !x.Revoked(&tt.hit) || x.Revoked(&tt.miss) {
				t.Errorf("%s: revoked %v, and another %v", name, x.Revoked(&tt.hit), x.Revoked(&tt.miss))
			}
		}
		mustRevoke(t, log, store.Revocation{Target: store.TargetAll, Before: now, Expires: expires})
		synctest.Wait()
		if !x.Revoked(&token.Claims{Subject: "x", IssuedAt: past}) || x.Revoked(&token.Claims{Subject: "x", IssuedAt: now.Add(time.Second)}) {
			t.Error("everything: does not concern exactly the tokens issued before")
		}
	})
}

// TestIndexForgets checks that an entry is kept until it expires, even if its
// expiry was extended, and is then removed.
func TestIndexForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory.New(store.Limits{})
		x := startIndex(t, Config{Log: log})
		const n = 2*store.MaxPage + 10
		for i := range n {
			mustRevoke(t, log, inAMinute(fmt.Sprint(i)))
		}
		longer := inAMinute("0")
		longer.Expires = longer.Expires.Add(time.Hour)
		mustRevoke(t, log, longer)

		time.Sleep(time.Minute + store.ClockSlack - time.Millisecond)
		synctest.Wait()
		if x.Len() != n || !x.Revoked(&token.Claims{ID: "1"}) {
			t.Errorf("%d entries before they expire, want %d", x.Len(), n)
		}
		time.Sleep(contactEvery)
		synctest.Wait()
		if x.Len() != 1 || x.Revoked(&token.Claims{ID: "1"}) || !x.Revoked(&token.Claims{ID: "0"}) {
			t.Errorf("%d entries when all but one have expired", x.Len())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if x.Len() != 0 {
			t.Errorf("%d entries at last", x.Len())
		}
	})
}

// TestIndexReportsItsLastContact checks that contact is at most a second old
// while the store answers, does not advance while it fails or hangs, and
// recovers soon afterwards.
func TestIndexReportsItsLastContact(t *testing.T) {
	for name, fault := range map[string]func(*broken, bool){
		"fails": func(b *broken, on bool) {
			if b.fail(nil); on {
				b.fail(errors.New("store on fire"))
			}
		},
		"hangs": func(b *broken, on bool) { b.hang.Store(on) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var logged strings.Builder
				log := &broken{Revocations: memory.New(store.Limits{})}
				x := startIndex(t, Config{Log: log, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
				for range 100 {
					time.Sleep(123 * time.Millisecond)
					if age := time.Since(x.Contact()); age > contactEvery {
						t.Errorf("the last contact was %v ago", age)
					}
				}
				fault(log, true)
				time.Sleep(contactEvery)
				last, calls := x.Contact(), log.calls.Load()
				mustRevoke(t, log, inAMinute("missed"))
				time.Sleep(time.Minute)
				if x.Contact() != last || x.Revoked(&token.Claims{ID: "missed"}) {
					t.Error("contact with a store that does not answer")
				}
				if tries := log.calls.Load() - calls; tries < 10 || tries > 150 {
					t.Errorf("%d tries in a minute", tries)
				}
				fault(log, false)
				time.Sleep(readTimeout + maxBackoff + contactEvery)
				synctest.Wait()
				if age := time.Since(x.Contact()); age > contactEvery || !x.Revoked(&token.Claims{ID: "missed"}) {
					t.Errorf("contact %v ago after the store recovered", age)
				}
				if text := logged.String(); strings.Count(text, "the store fails") != 1 || strings.Count(text, "the store is back") != 1 {
					t.Errorf("logged %s", text)
				}
			})
		})
	}
}

// TestIndexIsNotReadyWithoutAStore checks that an index is not ready before the
// first full read.
func TestIndexIsNotReadyWithoutAStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &broken{Revocations: memory.New(store.Limits{})}
		log.fail(errors.New("store on fire"))
		x := startIndex(t, Config{Log: log})
		time.Sleep(time.Hour)
		select {
		case <-x.Ready():
			t.Error("ready")
		default:
		}
		log.fail(nil)
		started := time.Now()
		<-x.Ready()
		if waited := time.Since(started); waited > maxBackoff {
			t.Errorf("ready after %v", waited)
		}
	})
}

// A swap is a log that can be replaced by another one.
type swap struct{ atomic.Pointer[memory.Store] }

func (s *swap) Revoke(ctx context.Context, r ...store.Revocation) error {
	return s.Load().Revoke(ctx, r...)
}
func (s *swap) Read(ctx context.Context, c store.Cursor) (store.Page, error) {
	return s.Load().Read(ctx, c)
}
func (s *swap) Wait(ctx context.Context, c store.Cursor) error { return s.Load().Wait(ctx, c) }

// TestIndexReadsAnotherLogAnew checks that after a reset, the index has the
// entries of the new log, and keeps those of the old one.
func TestIndexReadsAnotherLogAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &swap{}
		log.Store(memory.New(store.Limits{}))
		mustRevoke(t, log, inAMinute("old"))
		lines := &logLines{}
		x := startIndex(t, Config{Log: log, Logger: lines.logger()})
		log.Store(memory.New(store.Limits{}))
		mustRevoke(t, log, inAMinute("new"))
		time.Sleep(contactEvery + maxBackoff)
		synctest.Wait()
		for _, id := range []string{"old", "new"} {
			if !x.Revoked(&token.Claims{ID: id}) {
				t.Errorf("%s is not revoked", id)
			}
		}
		if age := time.Since(x.Contact()); age > contactEvery {
			t.Errorf("contact %v ago", age)
		}
		if n := lines.count("the log was replaced"); n != 1 {
			t.Errorf("logged %d times that the log was replaced", n)
		}
	})
}

func TestNewNeedsALog(t *testing.T) {
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "Config.Log: required") {
		t.Errorf("error %v", err)
	}
}
