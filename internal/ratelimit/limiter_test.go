package ratelimit

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

var began = time.Unix(1_700_000_000, 0)

// takes counts how many tries of a key are granted in a row.
func takes(l *Limiter, key string, now time.Time) int {
	for n := 0; ; n++ {
		if _, wait := l.Take(key, now); wait > 0 {
			return n
		}
	}
}

func TestLimiter(t *testing.T) {
	l := New(3, time.Second, 10)
	if n := takes(l, "a", began); n != 3 {
		t.Errorf("%d at once", n)
	}
	if n := takes(l, "b", began); n != 3 {
		t.Errorf("%d of another key", n)
	}
	if _, wait := l.Take("a", began); wait != time.Second {
		t.Errorf("wait %v", wait)
	}
	if n := takes(l, "a", began.Add(2*time.Second)); n != 2 {
		t.Errorf("%d after two periods", n)
	}
	r, _ := l.Take("c", began)
	r.GiveBack()
	if n := takes(l, "c", began); n != 3 {
		t.Errorf("%d after one was given back", n)
	}
}

// TestRefusedTriesCostNothing: however many are refused at once, the next one
// is granted when its time has come.
func TestRefusedTriesCostNothing(t *testing.T) {
	l := New(1, time.Minute, 10)
	takes(l, "a", began)
	var tries sync.WaitGroup
	for range 8 {
		tries.Go(func() {
			for range 5000 {
				l.Take("a", began)
			}
		})
	}
	tries.Wait()
	if _, wait := l.Take("a", began); wait != time.Minute {
		t.Errorf("wait %v, want a minute", wait)
	}
}

// TestFullTable: keys beyond the table share one bucket until there is room.
func TestFullTable(t *testing.T) {
	l := New(2, time.Second, 100)
	for i := range 100 {
		takes(l, fmt.Sprint(i), began)
	}
	granted := 0
	for i := range 50 {
		granted += takes(l, fmt.Sprint("new", i), began)
	}
	if granted != 2 || len(l.buckets) != 100 {
		t.Errorf("%d granted to 50 new keys, %d buckets", granted, len(l.buckets))
	}
	if n := takes(l, "later", began.Add(time.Minute)); n != 2 || len(l.buckets) != 1 {
		t.Errorf("%d once the table is idle, %d buckets", n, len(l.buckets))
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
