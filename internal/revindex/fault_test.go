package revindex

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// A faulty log is one in memory into which tests inject faults.
type faulty struct {
	mu     sync.Mutex
	log    *memory.Store
	known  time.Time     // if not zero, Page.Known of all pages
	ahead  time.Duration // how far the node's clock is ahead of that of the log
	slow   time.Duration // how long a read takes, half of it before the log sees it
	refuse error         // the error of Revoke, which then adds nothing
	doubt  error         // the error of Revoke, which adds nonetheless
	writes atomic.Int64  // the revocations that Revoke has added
}

func newFaulty() *faulty { return &faulty{log: memory.New(store.Limits{})} }

// change changes the faults.
func (f *faulty) change(do func(*faulty)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do(f)
}

// current returns the log, and the faults as they are.
func (f *faulty) current() (log *memory.Store, known time.Time, ahead, slow time.Duration, refuse, doubt error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log, f.known, f.ahead, f.slow, f.refuse, f.doubt
}

func (f *faulty) Revoke(ctx context.Context, revocations ...store.Revocation) error {
	log, _, _, _, refuse, doubt := f.current()
	if refuse != nil {
		return refuse
	}
	if err := log.Revoke(ctx, revocations...); err != nil {
		return err
	}
	f.writes.Add(int64(len(revocations)))
	return doubt
}

func (f *faulty) Publish(ctx context.Context, events ...store.Event) error {
	log, _, _, _, _, _ := f.current()
	return log.Publish(ctx, events...)
}

func (f *faulty) Read(ctx context.Context, after store.Cursor) (store.Page, error) {
	log, known, ahead, slow, _, _ := f.current()
	time.Sleep(slow / 2)
	page, err := log.Read(ctx, after)
	time.Sleep(slow / 2)
	page.Now, page.Known = page.Now.Add(-ahead), page.Known.Add(-ahead)
	if !known.IsZero() {
		page.Known = known
	}
	return page, err
}

func (f *faulty) Wait(ctx context.Context, after store.Cursor) error {
	log, _, _, _, _, _ := f.current()
	return log.Wait(ctx, after)
}

// TestContactIsJudgedByProgress checks that an index is outdated if its log
// answers, but its store no longer vouches for it: the log's reader hangs while
// the engine answers pings (D12), or the primary has lost its replicas (D6).
func TestContactIsJudgedByProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFaulty()
		x := startIndex(t, Config{Log: log})
		time.Sleep(10 * time.Second)
		stopped := time.Now()
		log.change(func(f *faulty) { f.known = stopped })
		for range 100 {
			time.Sleep(time.Second)
			mustRevoke(t, log, inAMinute("news"))
			synctest.Wait()
			if !x.Revoked(&token.Claims{ID: "news"}) {
				t.Error("does not follow the log")
			}
			if contact := x.Contact(); contact.After(stopped) {
				t.Fatalf("contact %v after the store stopped", contact.Sub(stopped))
			}
		}
		// A replica that vouches for less does not set the contact back.
		before := x.Contact()
		log.change(func(f *faulty) { f.known = stopped.Add(-time.Minute) })
		time.Sleep(contactEvery)
		if contact := x.Contact(); !contact.Equal(before) {
			t.Errorf("contact at %v, then at %v", before, contact)
		}
		log.change(func(f *faulty) { f.known = time.Time{} })
		time.Sleep(contactEvery)
		synctest.Wait()
		if age := time.Since(x.Contact()); age > contactEvery {
			t.Errorf("contact %v ago after the store returned", age)
		}
	})
}

// TestContactLagsBehind checks that the contact is as old as the time up to
// which the store vouches for its log. It is a time of the node's clock, even
// if the clocks differ.
func TestContactLagsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFaulty()
		const lag = 700 * time.Millisecond
		log.ahead = -5 * time.Minute
		log.known = time.Now().Add(5*time.Minute - lag)
		x := startIndex(t, Config{Log: log})
		if age := time.Since(x.Contact()); age != lag {
			t.Errorf("contact %v ago, want %v", age, lag)
		}
		// A store that vouches for a future time is not believed.
		log.change(func(f *faulty) { f.known = time.Now().Add(time.Hour) })
		time.Sleep(contactEvery)
		synctest.Wait()
		if age := time.Since(x.Contact()); age < 0 || age > contactEvery {
			t.Errorf("contact %v ago", age)
		}
	})
}

// TestIndexIsNotReadyWithoutAVoucher checks that an index is not ready before
// the store has vouched for its log.
func TestIndexIsNotReadyWithoutAVoucher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &vouchless{faulty: newFaulty()}
		x := startIndex(t, Config{Log: log})
		time.Sleep(time.Minute)
		select {
		case <-x.Ready():
			t.Error("ready")
		default:
		}
		if !x.Contact().IsZero() {
			t.Errorf("contact at %v", x.Contact())
		}
		log.vouches.Store(true)
		time.Sleep(contactEvery)
		<-x.Ready()
	})
}

// A vouchless log has pages whose Known is zero, until vouches is set.
type vouchless struct {
	*faulty
	vouches atomic.Bool
}

func (v *vouchless) Read(ctx context.Context, after store.Cursor) (store.Page, error) {
	page, err := v.faulty.Read(ctx, after)
	if !v.vouches.Load() {
		page.Known = time.Time{}
	}
	return page, err
}
