package ratelimit

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

var began = time.Unix(1_700_000_000, 0)

// countGranted returns how many consecutive attempts of a key are granted.
func countGranted(l *Limiter, key string, now time.Time) int {
	for n := 0; ; n++ {
		if wait := l.Take(key, now); wait > 0 {
			return n
		}
	}
}

func TestLimiter(t *testing.T) {
	l := New(3, time.Second, 10)
	if n := countGranted(l, "a", began); n != 3 {
		t.Errorf("%d at once", n)
	}
	if n := countGranted(l, "b", began); n != 3 {
		t.Errorf("%d of another key", n)
	}
	if wait := l.Take("a", began); wait != time.Second {
		t.Errorf("wait %v", wait)
	}
	if n := countGranted(l, "a", began.Add(2*time.Second)); n != 2 {
		t.Errorf("%d after two periods", n)
	}
	h, _ := Hold(began, Claim{l, "c"})
	h.GiveBack()
	if n := countGranted(l, "c", began); n != 3 {
		t.Errorf("%d after one was given back", n)
	}
}

// TestRefusedAttemptsCostNothing checks that refused attempts do not delay the
// next granted one.
func TestRefusedAttemptsCostNothing(t *testing.T) {
	l := New(1, time.Minute, 10)
	countGranted(l, "a", began)
	var attempts sync.WaitGroup
	for range 8 {
		attempts.Go(func() {
			for range 5000 {
				l.Take("a", began)
			}
		})
	}
	attempts.Wait()
	if wait := l.Take("a", began); wait != time.Minute {
		t.Errorf("wait %v, want a minute", wait)
	}
}

// TestFullTable checks that keys that do not fit in the table share a few
// buckets until there is room, and that the keys in the table stay limited.
func TestFullTable(t *testing.T) {
	l := New(2, time.Second, 100)
	for i := range 100 {
		countGranted(l, fmt.Sprint(i), began)
	}
	granted := 0
	for i := range 10 * overflow {
		granted += countGranted(l, fmt.Sprint("new", i), began)
	}
	if granted > 2*overflow || granted < overflow || len(l.buckets) != 100 {
		t.Errorf("%d granted to new keys, %d buckets", granted, len(l.buckets))
	}
	for i := range 100 {
		if n := countGranted(l, fmt.Sprint(i), began); n != 0 {
			t.Fatalf("%d more of a key that was limited", n)
		}
	}
	if n := countGranted(l, "later", began.Add(time.Minute)); n != 2 || len(l.buckets) != 1 {
		t.Errorf("%d once the table is idle, %d buckets", n, len(l.buckets))
	}
}

// TestHeldInASweep checks that an attempt keeps its bucket while it is held.
func TestHeldInASweep(t *testing.T) {
	l := New(1, time.Second, 1)
	h, _ := Hold(began, Claim{l, "a"})
	l.Take("b", began.Add(time.Hour)) // sweeps, and finds no room
	if wait := l.Take("a", began.Add(time.Hour)); wait == 0 {
		t.Error("a key has another attempt while one is held")
	}
	h.GiveBack()
	if len(l.buckets) != 0 {
		t.Errorf("%d buckets, though all was given back", len(l.buckets))
	}
}

// TestGiveBackAfterARefusal checks that 20 held attempts that are given back
// after another was refused are all available again, in whatever order they
// were given back.
func TestGiveBackAfterARefusal(t *testing.T) {
	const burst = 20
	for name, order := range map[string]func(i int) int{
		"in order":   func(i int) int { return i },
		"last first": func(i int) int { return burst - 1 - i },
		"mixed":      func(i int) int { return i * 7 % burst },
	} {
		l := New(burst, 3*time.Second, 10)
		var held []*Held
		for i := range burst {
			h, wait := Hold(began.Add(time.Duration(i)*time.Millisecond), Claim{l, "a"})
			if wait > 0 {
				t.Fatalf("%s: attempt %d waits %v", name, i, wait)
			}
			held = append(held, h)
		}
		now := began.Add(time.Second)
		if _, wait := Hold(now, Claim{l, "a"}); wait != 3*time.Second {
			t.Errorf("%s: one too many waits %v, want 3s", name, wait)
		}
		for i := range held {
			held[order(i)].GiveBack()
			held[order(i)].GiveBack() // the second call has no effect
			held[order(i)].Spend(now)
		}
		if n := countGranted(l, "a", now); n != burst {
			t.Errorf("%s: %d attempts are available again, want %d", name, n, burst)
		}
	}
}

// TestGiveBackGainsNothing checks that holding an attempt and giving it back
// has no effect, even if others were spent and refilled meanwhile.
func TestGiveBackGainsNothing(t *testing.T) {
	l := New(20, 3*time.Second, 10)
	h, _ := Hold(began, Claim{l, "a"})
	if n := countGranted(l, "a", began); n != 19 {
		t.Errorf("got %d attempts while one is held", n)
	}
	later := began.Add(3 * time.Second)
	if n := countGranted(l, "a", later); n != 1 {
		t.Errorf("%d more after one was given back", n)
	}
	h.GiveBack()
	if n := countGranted(l, "a", later); n != 1 {
		t.Errorf("%d more after one was given back", n)
	}
}

// TestHoldTakesAllOrNone checks that if one limiter refuses, the others lose
// nothing.
func TestHoldTakesAllOrNone(t *testing.T) {
	var g Group
	address, name := g.New(5, time.Second, 10), g.New(1, time.Minute, 10)
	claims := []Claim{{address, "x"}, {name, "anna"}}
	h, wait := Hold(began, claims...)
	if wait > 0 {
		t.Fatal(wait)
	}
	h.Spend(began)
	for range 100 {
		if _, wait := Hold(began, claims...); wait != time.Minute {
			t.Fatalf("wait %v, want a minute", wait)
		}
	}
	if n := countGranted(address, "x", began); n != 4 {
		t.Errorf("%d of the address are left, want 4", n)
	}
	if _, wait := Hold(began, Claim{address, "y"}, Claim{name, "anna"}); wait == 0 || len(address.buckets) != 1 {
		t.Errorf("wait %v; %d buckets, want 1: a refused attempt leaves none", wait, len(address.buckets))
	}
}

// TestHoldAtOnce checks that after concurrent calls of Hold, Spend and
// GiveBack, exactly the attempts that were not spent are left.
func TestHoldAtOnce(t *testing.T) {
	var g Group
	a, b := g.New(100, time.Minute, 10), g.New(100, time.Minute, 10)
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			h, wait := Hold(began, Claim{a, "k"}, Claim{b, "k"})
			switch {
			case wait > 0:
				t.Errorf("attempt %d waits %v", i, wait)
			case i%4 == 0:
				h.Spend(began)
			default:
				h.GiveBack()
			}
		})
	}
	all.Wait()
	if n, m := countGranted(a, "k", began), countGranted(b, "k", began); n != 75 || m != 75 {
		t.Errorf("%d and %d are left, want 75", n, m)
	}
}

func TestNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:80":                  "192.0.2.1",
		"[::ffff:192.0.2.1]:80":         "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80":     "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::%eth0]:80": "2001:db8:1:2::/64",
		"@":                             "",
		"":                              "",
	} {
		if got := Network(addr); got != want {
			t.Errorf("%q: %q, want %q", addr, got, want)
		}
	}
}

func TestNetworks(t *testing.T) {
	for addr, want := range map[string][]string{
		"192.0.2.1:80":                      {"192.0.2.1"},
		"[::ffff:192.0.2.1]:80":             {"192.0.2.1"},
		"[::ffff:192.0.2.1%eth0]:80":        {"192.0.2.1"},
		"[2001:db8:1:2ff:3:4:5:6]:80":       {"2001:db8:1:2ff::/64", "2001:db8:1:200::/56", "2001:db8:1::/48"},
		"[fe80:1:2:3ff:ffff::%eth0]:80":     {"fe80:1:2:3ff::/64", "fe80:1:2:300::/56", "fe80:1:2::/48"},
		"[fe80:1:2:3ff:ffff::%another]:443": {"fe80:1:2:3ff::/64", "fe80:1:2:300::/56", "fe80:1:2::/48"},
		"@":                                 nil,
	} {
		if got := Networks(addr); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", addr, got, want)
		}
	}
}
