package wsauth

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/internal/wsconn"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// A failingLog is a log of revocations whose store can fail, and has a clock of
// its own.
type failingLog struct {
	*memory.Store
	fails atomic.Bool
	ahead atomic.Int64 // nanoseconds
}

var errStoreDown = errors.New("the store is down")

func (f *failingLog) Read(ctx context.Context, after store.Cursor) (store.Page, error) {
	if f.fails.Load() {
		return store.Page{}, errStoreDown
	}
	page, err := f.Store.Read(ctx, after)
	ahead := time.Duration(f.ahead.Load())
	page.Now, page.Known = page.Now.Add(ahead), page.Known.Add(ahead)
	return page, err
}

func (f *failingLog) Wait(ctx context.Context, after store.Cursor) error {
	if f.fails.Load() {
		return errStoreDown
	}
	return f.Store.Wait(ctx, after)
}

// inStaleness runs f with a guard that has n sockets and follows a log.
func inStaleness(t *testing.T, n int, f func(t *testing.T, g *Guard, log *failingLog, open []*Socket)) {
	t.Helper()
	whenStale(t, n, EndSockets, f)
}

// whenStale is like inStaleness, with a value of Config.WhenStale.
func whenStale(t *testing.T, n int, when WhenStale, f func(t *testing.T, g *Guard, log *failingLog, open []*Socket)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := &failingLog{Store: memory.New(store.Limits{})}
		guard, err := New(Config{Verifier: new(token.Verifier), Extractors: []Extractor{FirstMessage{}}, Revocations: log, WhenStale: when})
		if err != nil {
			t.Fatal(err)
		}
		<-guard.revocations.index.Ready()
		x := &crowd{guard: guard, derived: guard}
		for range n {
			if _, err := x.socket(guard, "192.0.2.1:1", &token.Claims{Subject: "ada", ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}
		f(t, guard, log, x.open)
		for _, s := range x.open {
			x.close(s)
		}
		if err := guard.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * wsconn.Grace)
	})
}

func countEnded(open []*Socket) (n int) {
	for _, s := range open {
		if s.checkOpen() != nil {
			n++
		}
	}
	return n
}

// TestStaleEndsAreSpread checks that the sockets of a guard that has lost
// contact with its store end one after another, within endStaleWithin.
func TestStaleEndsAreSpread(t *testing.T) {
	inStaleness(t, 500, func(t *testing.T, g *Guard, log *failingLog, open []*Socket) {
		log.fails.Store(true)
		time.Sleep(g.config.Staleness - pulseEvery)
		if n := countEnded(open); n > 0 {
			t.Fatalf("%d sockets have ended early", n)
		}
		var first, last time.Time
		for range 5000 {
			time.Sleep(time.Millisecond)
			n := countEnded(open)
			if n > 0 && first.IsZero() {
				first = time.Now()
			}
			if n == len(open) {
				last = time.Now()
				break
			}
		}
		if d := last.Sub(first); first.IsZero() || d < 400*time.Millisecond || d > endStaleWithin {
			t.Errorf("%d sockets ended within %v", len(open), d)
		}
		for _, s := range open {
			if !errors.Is(s.checkOpen(), StoreUnavailable) {
				t.Fatalf("ended with %v", s.checkOpen())
			}
		}
	})
}

// TestKeepSockets checks that with KeepSockets, sockets stay open while the
// store does not answer. They end when their tokens expire, or when the guard
// reads their revocation from the store that answers again. Until then, the
// guard is not ready.
func TestKeepSockets(t *testing.T) {
	whenStale(t, 3, KeepSockets, func(t *testing.T, g *Guard, log *failingLog, open []*Socket) {
		log.fails.Store(true)
		time.Sleep(10 * g.config.Staleness)
		if n := countEnded(open); n > 0 {
			t.Errorf("%d sockets have ended", n)
		}
		if err := g.Ready(); !errors.Is(err, StoreUnavailable) {
			t.Errorf("ready: %v, want %v", err, StoreUnavailable)
		}
		if err := log.Revoke(t.Context(), store.Revocation{Target: store.TargetAll, Before: time.Now(), Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		log.fails.Store(false)
		time.Sleep(5 * time.Second)
		if n := countEnded(open); n != len(open) {
			t.Errorf("%d of %d sockets have ended after the store is back", n, len(open))
		}
	})
}

// TestStoreComesBack checks that sockets that are still open when the store
// answers again stay open.
func TestStoreComesBack(t *testing.T) {
	inStaleness(t, 2000, func(t *testing.T, g *Guard, log *failingLog, open []*Socket) {
		log.fails.Store(true)
		for countEnded(open) == 0 {
			time.Sleep(time.Millisecond)
		}
		log.fails.Store(false)
		time.Sleep(10 * time.Second)
		n := countEnded(open)
		if n == 0 || n == len(open) {
			t.Errorf("%d of %d sockets have ended", n, len(open))
		}
		if err := g.Ready(); err != nil {
			t.Error(err)
		}
	})
}

// TestExpiredByTheWall checks that a socket whose token expired during a
// suspension, while its timer stood still, ends when the guard reads the wall
// clock. Other sockets stay open.
func TestExpiredByTheWall(t *testing.T) {
	inStaleness(t, 2, func(t *testing.T, g *Guard, _ *failingLog, open []*Socket) {
		open[0].identity.claims.Store(&token.Claims{Subject: "ada", ExpiresAt: time.Now().Add(-time.Second)})
		past := time.Now().Add(-time.Minute)
		g.pulse.last.Store(&past)
		if !g.Paused() {
			t.Error("a minute without a pulse is no pause")
		}
		time.Sleep(readerTurn)
		if g.Paused() {
			t.Error("still paused")
		}
		if !errors.Is(open[0].checkOpen(), TokenExpired) || open[1].checkOpen() != nil {
			t.Errorf("%v and %v", open[0].checkOpen(), open[1].checkOpen())
		}
	})
}

// TestRequestWaitsForTheReader checks that a token revoked during a pause is
// refused in the first request after it, unless its client disconnects.
func TestRequestWaitsForTheReader(t *testing.T) {
	inStaleness(t, 0, func(t *testing.T, g *Guard, log *failingLog, _ []*Socket) {
		log.fails.Store(true)
		past := time.Now().Add(-time.Minute)
		g.pulse.last.Store(&past)
		claims := &token.Claims{Subject: "ada", IssuedAt: past, ExpiresAt: time.Now().Add(time.Hour)}
		if err := log.Store.Revoke(t.Context(), store.Revocation{Target: store.TargetSubject, ID: "ada", Before: time.Now(), Expires: claims.ExpiresAt}); err != nil {
			t.Fatal(err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		started := time.Now()
		if revoked, err := g.Revoked(gone, claims); revoked || err != nil || time.Since(started) > pulseEvery {
			t.Errorf("of a client that is gone: %v, %v after %v", revoked, err, time.Since(started))
		}
		time.AfterFunc(100*time.Millisecond, func() { log.fails.Store(false) })
		revoked, err := g.Revoked(t.Context(), claims)
		if waited := time.Since(started); !revoked || err != nil || waited == 0 || waited > firstContact {
			t.Errorf("%v, %v after %v", revoked, err, waited)
		}
	})
}

// TestPauseIsBounded checks that frames are held back for about readerTurn if
// the store does not answer after a pause.
func TestPauseIsBounded(t *testing.T) {
	inStaleness(t, 1, func(t *testing.T, g *Guard, log *failingLog, open []*Socket) {
		log.fails.Store(true)
		past := time.Now().Add(-time.Minute)
		g.pulse.last.Store(&past)
		time.Sleep(readerTurn - time.Millisecond)
		if !g.Paused() {
			t.Error("frames pass before the log was read")
		}
		time.Sleep(2*pulseEvery + time.Millisecond)
		if g.Paused() || countEnded(open) != 0 {
			t.Errorf("paused %v, %d ended", g.Paused(), countEnded(open))
		}
		log.fails.Store(false)
	})
}
