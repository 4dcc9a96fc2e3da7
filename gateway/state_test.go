package gateway

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/token"
)

func TestDenylistRemembersUntilTheEnd(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	d := newDenylist(2)
	for _, key := range []string{"a", "b", "a"} {
		if err := d.add(key, now, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.add("c", now.Add(time.Minute), time.Hour); !errors.Is(err, errDenylistFull) {
		t.Errorf("a third entry: %v, want a refusal", err)
	}
	if end := now.Add(time.Hour); !d.has("a", end) || !d.has("b", now) || d.has("c", now) {
		t.Error("the list forgot an entry that matters, or holds what it refused")
	}
	if d.has("a", now.Add(time.Hour+1)) {
		t.Error("the list denies what has ended")
	}
	if err := d.add("c", now.Add(time.Hour+time.Second), time.Hour); err != nil {
		t.Errorf("a third entry when the others have ended: %v", err)
	}
	if len(d.ends) != 1 || !d.has("c", now) {
		t.Error("the list kept what has ended, or lost what it took")
	}
}

func TestLimiterGivesBackWithTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(3, time.Second, 10)
		for i := range 3 {
			if _, wait := l.take("k", time.Now()); wait != 0 {
				t.Fatalf("attempt %d must wait %v", i+1, wait)
			}
		}
		_, wait := l.take("k", time.Now())
		if wait != time.Second {
			t.Fatalf("the fourth must wait %v, want 1s", wait)
		}
		time.Sleep(wait) // the bubble's clock
		if _, wait := l.take("k", time.Now()); wait != 0 {
			t.Errorf("after the wait it must wait %v more", wait)
		}
	})
}

func TestLimiterIsBounded(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	l := newLimiter(2, time.Second, 100)
	refused := 0
	for i := range 10_000 {
		if _, wait := l.take(strconv.Itoa(i), now); wait > 0 {
			refused++
		}
	}
	if len(l.buckets) > 100 {
		t.Errorf("%d buckets, want at most 100", len(l.buckets))
	}
	if refused != 10_000-100-2 {
		t.Errorf("%d refused: those beyond the table must share one bucket", refused)
	}
	if _, wait := l.take("new", now.Add(time.Hour)); wait != 0 || len(l.buckets) != 1 {
		t.Errorf("an hour later: wait %v, %d buckets", wait, len(l.buckets))
	}
}

// A flood of new keys sweeps a full table once per period, not once per request.
func TestLimiterSweepsOncePerPeriod(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	l := newLimiter(2, time.Second, 10)
	for i := range 10 {
		l.take(strconv.Itoa(i), now)
	}
	for _, step := range []struct {
		after time.Duration
		left  int
	}{
		{500 * time.Millisecond, 10},  // sweeps, and no bucket is full again
		{1400 * time.Millisecond, 10}, // all are, but the period is not over
		{1500 * time.Millisecond, 1},
	} {
		l.take("new", now.Add(step.after))
		if len(l.buckets) != step.left {
			t.Errorf("after %v: %d buckets, want %d", step.after, len(l.buckets), step.left)
		}
	}
}

func TestR3_NetworkOfAnAddress(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:80":                   "192.0.2.1",
		"[::ffff:192.0.2.1]:80":          "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80":      "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::1]:81":      "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":              "fe80::/64",
		"@":                              "",
		"not an address, but some text:": "",
	} {
		if got := network(in); got != want {
			t.Errorf("network(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNewReportsEveryFault(t *testing.T) {
	_, err := New(Config{AccessTTL: time.Millisecond, RefreshTTL: time.Microsecond, Origins: []string{"https://app.example", "*"}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, field := range []string{"Config.Key", "Config.Authenticate", "Config.AccessTTL", "Config.RefreshTTL", "Config.Origins[1]"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.Public()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Key: public, Authenticate: DemoUser}); err == nil || !strings.Contains(err.Error(), "cannot sign") {
		t.Errorf("a public key: %v", err)
	}
	if _, err := New(Config{Key: key, Authenticate: DemoUser, RefreshTTL: MaxTTL}); err != nil {
		t.Errorf("the longest life: %v", err)
	}
	if _, err := New(Config{Key: key, Authenticate: DemoUser, RefreshTTL: MaxTTL + time.Second}); err == nil || !strings.Contains(err.Error(), "Config.RefreshTTL") {
		t.Errorf("a longer life: %v", err)
	}
}

func TestDemoUser(t *testing.T) {
	for _, tt := range []struct {
		name, password string
		want           bool
	}{{"test", "test", true}, {"test", "", false}, {"", "test", false}, {"test", "Test", false}, {"tes", "ttest", false}} {
		if got, err := DemoUser(t.Context(), tt.name, tt.password); got != tt.want || err != nil {
			t.Errorf("%q, %q: %v, %v", tt.name, tt.password, got, err)
		}
	}
}
