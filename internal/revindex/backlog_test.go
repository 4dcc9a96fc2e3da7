package revindex

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/internal/wstest"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// A failing log cannot be written while fault is set.
type failing struct {
	store.Revocations
	mu    sync.Mutex
	fault error
	calls int
	sizes []int // of each call
}

func (f *failing) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = err
}

// tries returns how often Revoke was called.
func (f *failing) tries() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func (f *failing) Revoke(ctx context.Context, r ...store.Revocation) error {
	f.mu.Lock()
	f.calls++
	f.sizes = append(f.sizes, len(r))
	err := f.fault
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return f.Revocations.Revoke(ctx, r...)
}

var errDisk = errors.New("no space left on device")

// A logLines is a logger and its output.
type logLines struct{ wstest.Log }

func (l *logLines) count(text string) int { return strings.Count(l.String(), text) }

func (l *logLines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func mustIndex(t *testing.T, c Config) *Index {
	t.Helper()
	x, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestIndexHoldsWhatTheLogCannotTake checks that if the log cannot take a
// revocation for any reason, this node still refuses the token at once, and
// reports that the revocation is not durable.
func TestIndexHoldsWhatTheLogCannotTake(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	full := memory.New(store.Limits{Revocations: 1})
	mustRevoke(t, full, inAMinute("other"))
	for name, tt := range map[string]struct {
		ctx  context.Context
		log  store.Revocations
		want error
	}{
		"full":     {t.Context(), full, store.ErrFull},
		"failing":  {t.Context(), &failing{Revocations: memory.New(store.Limits{}), fault: errDisk}, errDisk},
		"closed":   {t.Context(), &failing{Revocations: memory.New(store.Limits{}), fault: store.ErrClosed}, store.ErrClosed},
		"canceled": {canceled, memory.New(store.Limits{}), context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			told := 0
			x := mustIndex(t, Config{Log: tt.log, OnRevoke: func(store.Revocation) { told++ }})
			for range 2 {
				r := store.Revocation{Target: store.TargetSession, ID: "s", Expires: time.Now().Add(time.Hour).Truncate(time.Hour)}
				if err := x.Revoke(tt.ctx, r); !errors.Is(err, store.ErrNotDurable) || !errors.Is(err, tt.want) {
					t.Errorf("Revoke: %v, want store.ErrNotDurable and %v", err, tt.want)
				}
			}
			if !x.Revoked(&token.Claims{SessionID: "s"}) || told != 1 || x.Held() != 1 {
				t.Errorf("revoked %v, notified %d times, %d held", x.Revoked(&token.Claims{SessionID: "s"}), told, x.Held())
			}
		})
	}
}

// TestIndexWritesWhatItHolds checks that once the log accepts revocations
// again, it gets all held ones. The index logs the failure and its end.
func TestIndexWritesWhatItHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := memory.New(store.Limits{})
		log, lines := &failing{Revocations: kept, fault: errDisk}, &logLines{}
		x := startIndex(t, Config{Log: log, Logger: lines.logger()})
		for i := range 2*store.MaxPage + 1 {
			if err := x.Revoke(t.Context(), inAMinute(fmt.Sprint(i))); !errors.Is(err, store.ErrNotDurable) {
				t.Fatal(err)
			}
		}
		longer := inAMinute("0")
		longer.Expires = longer.Expires.Add(time.Hour)
		if err := x.Revoke(t.Context(), longer); !errors.Is(err, store.ErrNotDurable) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		calls := log.tries()
		time.Sleep(time.Minute)
		if tries := log.tries() - calls; x.Held() != 2*store.MaxPage+1 || tries < 10 || tries > 200 {
			t.Errorf("%d held, %d tries in a minute", x.Held(), tries)
		}
		log.set(nil)
		time.Sleep(time.Minute)
		if x.Held() != 0 {
			t.Errorf("%d are held", x.Held())
		}
		// Recently expired revocations are written too.
		usage, err := kept.RevocationUsage(t.Context())
		if err != nil || usage.Entries != 2*store.MaxPage+1 {
			t.Errorf("the log has %d, %v", usage.Entries, err)
		}
		if lines.count("writing to the log failed") != 1 || lines.count("held has been written") != 1 {
			t.Errorf("log: %s", lines.String())
		}
	})
}

// TestIndexWritesWhatFits checks that a full log gets as many revocations as
// fit, first the one that revokes everything.
func TestIndexWritesWhatFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memory.New(store.Limits{Revocations: 3})
		mustRevoke(t, log, inAMinute("a"), inAMinute("b"), store.Revocation{Target: store.TargetSession, ID: store.NewSessionID(time.Now()), Expires: time.Now().Add(2 * time.Hour)})
		time.Sleep(time.Millisecond)
		x := startIndex(t, Config{Log: log})
		for _, id := range []string{"c", "d", "e"} {
			r := inAMinute(id)
			r.Expires = r.Expires.Add(time.Hour)
			if err := x.Revoke(t.Context(), r); !errors.Is(err, store.ErrNotDurable) {
				t.Errorf("%s: %v", id, err)
			}
		}
		if err := x.Revoke(t.Context(), store.Revocation{Target: store.TargetAll, Before: time.Now(), Expires: time.Now().Add(3 * time.Hour)}); err != nil {
			t.Errorf("everything: %v", err)
		}
		time.Sleep(time.Minute)
		if x.Held() != 2 {
			t.Errorf("%d are held after one place was free, want 2", x.Held())
		}
		time.Sleep(store.ClockSlack + time.Minute)
		if x.Held() != 0 {
			t.Errorf("%d are held after the others expired", x.Held())
		}
	})
}

// TestIndexHoldsEverythingFirst checks that held revocations are written
// starting with the one that revokes everything, and without those that it
// covers.
func TestIndexHoldsEverythingFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := memory.New(store.Limits{})
		log := &failing{Revocations: kept, fault: errDisk}
		x := mustIndex(t, Config{Log: log, MaxHeld: 3})
		sid := store.NewSessionID(time.Now())
		time.Sleep(time.Millisecond)
		now, expires := time.Now().UTC(), time.Now().Add(time.Hour).UTC()
		for _, r := range []store.Revocation{
			{Target: store.TargetSession, ID: sid, Expires: expires},
			{Target: store.TargetToken, ID: "t", Expires: expires},
			{Target: store.TargetSubject, ID: "u", Before: now, Expires: expires},
			{Target: store.TargetAll, Before: now, Expires: expires}, // above MaxHeld
			{Target: store.TargetSession, ID: sid, Expires: expires},
		} {
			if err := x.Revoke(t.Context(), r); !errors.Is(err, store.ErrNotDurable) {
				t.Errorf("%v: %v", r, err)
			}
		}
		log.set(nil)
		if err := x.Flush(t.Context()); err != nil || x.Held() != 0 {
			t.Errorf("Flush: %v, %d held", err, x.Held())
		}
		page, err := kept.Read(t.Context(), store.Cursor{})
		if err != nil || len(page.Revocations) != 2 || page.Revocations[0].Target != store.TargetAll || page.Revocations[1].ID != "t" {
			t.Errorf("written: %v, %v", page.Revocations, err)
		}
	})
}

// TestIndexHoldsNoMoreThanItMay checks that beyond the limit, a revocation that
// the log does not accept is refused, with an error that says so.
func TestIndexHoldsNoMoreThanItMay(t *testing.T) {
	log := &failing{Revocations: memory.New(store.Limits{}), fault: errDisk}
	x := mustIndex(t, Config{Log: log, MaxHeld: 2})
	for _, id := range []string{"a", "b"} {
		if err := x.Revoke(t.Context(), inAMinute(id)); !errors.Is(err, store.ErrNotDurable) {
			t.Fatal(err)
		}
	}
	if err := x.Revoke(t.Context(), inAMinute("c")); !errors.Is(err, errDisk) || errors.Is(err, store.ErrNotDurable) {
		t.Errorf("one too many: %v", err)
	}
	if x.Revoked(&token.Claims{ID: "c"}) || x.Held() != 2 {
		t.Errorf("%d held, and c is among them", x.Held())
	}
	if err := x.Flush(t.Context()); !errors.Is(err, store.ErrNotDurable) || !errors.Is(err, errDisk) {
		t.Errorf("Flush: %v", err)
	}
	log.set(nil)
	if err := x.Revoke(t.Context(), inAMinute("c")); err != nil || !x.Revoked(&token.Claims{ID: "c"}) {
		t.Errorf("the log is well: %v", err)
	}
	if err := x.Flush(t.Context()); err != nil || x.Held() != 0 {
		t.Errorf("Flush: %v, %d held", err, x.Held())
	}
	if err := x.Revoke(t.Context(), inAMinute("d")); err != nil {
		t.Error(err)
	}
}

// TestIndexKeepsRoom checks that revocations in the log do not count toward the
// limit of held ones.
func TestIndexKeepsRoom(t *testing.T) {
	log := &failing{Revocations: memory.New(store.Limits{})}
	x := mustIndex(t, Config{Log: log, MaxHeld: 2})
	for i := range 10 {
		if err := x.Revoke(t.Context(), inAMinute(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	log.set(errDisk)
	for _, id := range []string{"a", "b"} {
		if err := x.Revoke(t.Context(), inAMinute(id)); !errors.Is(err, store.ErrNotDurable) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// TestFlushWritesWhatFits checks that a nearly full log gets as many
// revocations as fit, one by one, and the rest is reported.
func TestFlushWritesWhatFits(t *testing.T) {
	kept := memory.New(store.Limits{Revocations: 3})
	log := &failing{Revocations: kept, fault: errDisk}
	x := mustIndex(t, Config{Log: log})
	for i := range 5 {
		if err := x.Revoke(t.Context(), inAMinute(fmt.Sprint(i))); !errors.Is(err, store.ErrNotDurable) {
			t.Fatal(err)
		}
	}
	log.set(nil)
	if err := x.Flush(t.Context()); !errors.Is(err, store.ErrNotDurable) || !errors.Is(err, store.ErrFull) {
		t.Errorf("Flush: %v", err)
	}
	if x.Held() != 2 {
		t.Errorf("%d held", x.Held())
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	before := log.tries()
	if err := x.Flush(canceled); !errors.Is(err, store.ErrNotDurable) || log.tries() > before+1 {
		t.Errorf("Flush that is canceled: %v after %d tries", err, log.tries()-before)
	}
}

// TestIndexWritesSmallerBatches checks that a failing log gets half as many
// revocations each time, at growing intervals, and twice as many once it works
// again.
func TestIndexWritesSmallerBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &failing{Revocations: memory.New(store.Limits{}), fault: errDisk}
		x := mustIndex(t, Config{Log: log})
		for i := range 100 {
			r := inAMinute(fmt.Sprint(i))
			r.Expires = r.Expires.Add(24 * time.Hour)
			if err := x.Revoke(t.Context(), r); !errors.Is(err, store.ErrNotDurable) {
				t.Fatal(err)
			}
		}
		log.sizes = nil
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go x.keepWriting(ctx)
		const times = 1000
		time.Sleep(times * maxBackoff)
		log.mu.Lock()
		n := len(log.sizes)
		var different []int
		for i, size := range log.sizes {
			if i == 0 || size != log.sizes[i-1] {
				different = append(different, size)
			}
		}
		log.fault, log.sizes = nil, nil
		log.mu.Unlock()
		if want := []int{100, 62, 31, 15, 7, 3, 1}; !slices.Equal(different, want) {
			t.Errorf("tried with %d, want %d", different, want)
		}
		if n < times || n > 3*times { // half of maxBackoff on average
			t.Errorf("%d tries in %d times the longest pause", n, times)
		}
		time.Sleep(maxBackoff)
		log.mu.Lock()
		defer log.mu.Unlock()
		if want := []int{1, 2, 4, 8, 16, 32, 37}; !slices.Equal(log.sizes, want) {
			t.Errorf("written by %d, want %d", log.sizes, want)
		}
	})
}

// TestUsage checks that a log without a limit is never full. The warning comes
// at the level that the pages and the example configuration give.
func TestUsage(t *testing.T) {
	for name, sentence := range map[string]string{
		"docs/sessions.md":             fmt.Sprintf("entries, and the server logs a warning at %d %%", warnAt),
		"docs/operations.md":           fmt.Sprintf("`wsauth_revocation_log_entries / wsauth_revocation_log_limit > %v` (the log warns then, too)", float64(warnAt)/100),
		"internal/config/example.yaml": fmt.Sprintf("the log warns at %d %%", warnAt),
	} {
		text, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(strings.Fields(strings.ReplaceAll(string(text), "\n#", "\n")), " "), sentence) {
			t.Errorf("%s does not say %q", name, sentence)
		}
	}
	for n, want := range map[[2]int][2]bool{
		{0, 0}: {false, false}, {9, 0}: {false, false}, {0, 1}: {false, false}, {1, 1}: {true, true},
		{79, 100}: {false, false}, {80, 100}: {true, false}, {99, 100}: {true, false}, {100, 100}: {true, true}, {101, 100}: {true, true},
	} {
		u := store.Usage{Entries: n[0], Limit: n[1]}
		if got := [2]bool{isHigh(u), u.Full()}; got != want {
			t.Errorf("%v is high and full: %v, want %v", u, got, want)
		}
	}
}

// TestIndexWarnsOfAFullLog checks that the warning is logged once each time
// that the log reaches 80 percent.
func TestIndexWarnsOfAFullLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := memory.New(store.Limits{Revocations: 10}), &logLines{}
		warned := func() int { return lines.count("level=WARN") }
		x := startIndex(t, Config{Log: log, Logger: lines.logger()})
		fill := func(n int) {
			for i := range n {
				mustRevoke(t, log, inAMinute(fmt.Sprint(i)))
			}
			time.Sleep(2 * contactEvery)
		}
		fill(7)
		if u := x.Usage(); u != (store.Usage{Entries: 7, Limit: 10}) || warned() != 0 {
			t.Errorf("usage %v, warned %d times", u, warned())
		}
		fill(8)
		fill(9)
		fill(10)
		if u := x.Usage(); !u.Full() || warned() != 1 {
			t.Errorf("usage %v, warned %d times", u, warned())
		}
		time.Sleep(time.Minute + store.ClockSlack + 2*contactEvery)
		if u := x.Usage(); u != (store.Usage{Entries: 0, Limit: 10}) {
			t.Errorf("usage %v", u)
		}
		fill(8)
		if warned() != 2 {
			t.Errorf("warned %d times", warned())
		}
	})
}

// An overfillable log is full, but accepts overfilling. It refuses everything
// else.
type overfillable struct {
	*failing
	fault error // of Overfill
}

func (o *overfillable) Overfill(ctx context.Context, revocations ...store.Revocation) error {
	if o.fault != nil {
		return o.fault
	}
	o.set(nil)
	defer o.set(store.ErrFull)
	return o.Revoke(ctx, revocations...)
}

// TestFlushOverfills checks that revocations that a full log has refused are
// written when the process ends, and that the limit of the log applies until
// then.
func TestFlushOverfills(t *testing.T) {
	kept := memory.New(store.Limits{})
	log := &overfillable{failing: &failing{Revocations: kept, fault: store.ErrFull}}
	x := mustIndex(t, Config{Log: log})
	const n = store.MaxPage + 1
	for i := range n {
		if err := x.Revoke(t.Context(), inAMinute(fmt.Sprint(i))); !errors.Is(err, store.ErrNotDurable) {
			t.Fatal(err)
		}
	}
	entries := func() int {
		usage, err := kept.RevocationUsage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return usage.Entries
	}
	if entries() != 0 {
		t.Errorf("%d were written to a full log", entries())
	}
	for _, fault := range []error{errDisk, store.ErrFull} {
		log.fault = fault
		if err := x.Flush(t.Context()); !errors.Is(err, store.ErrNotDurable) || !errors.Is(err, fault) || x.Held() != n {
			t.Errorf("Flush: %v, %d held", err, x.Held())
		}
	}
	log.fault = nil
	if err := x.Flush(t.Context()); err != nil || x.Held() != 0 {
		t.Errorf("Flush: %v, %d held", err, x.Held())
	}
	if entries() != n {
		t.Errorf("%d were written", entries())
	}
}
