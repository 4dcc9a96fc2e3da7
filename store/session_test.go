package store

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzCut checks that a note is truncated to a prefix of at most the maximum
// length, and that only characters that do not fit are removed.
func FuzzCut(f *testing.F) {
	for _, note := range []string{"", "curl/8", strings.Repeat("a", maxNote), strings.Repeat("\u00fc", 200), strings.Repeat("a", maxNote-1) + "\U0001f600", strings.Repeat("\x80", 300)} {
		f.Add(note)
	}
	f.Fuzz(func(t *testing.T, note string) {
		got := cut(note)
		if !strings.HasPrefix(note, got) || len(got) > maxNote {
			t.Fatalf("%q is cut to %q", note, got)
		}
		if len(got) < min(len(note), maxNote-utf8.UTFMax) || len(note) <= maxNote && got != note {
			t.Errorf("%q is cut to %d bytes", note, len(got))
		}
		if utf8.ValidString(note) && !utf8.ValidString(got) {
			t.Errorf("%q is cut within a character, to %q", note, got)
		}
	})
}

// TestRotateWithoutTheTime checks that no session ends if the clock was set
// back by a few seconds since the last rotation. If it was set back by more,
// the previous token has no grace period.
func TestRotateWithoutTheTime(t *testing.T) {
	now := time.Now()
	session, err := Session{ID: "i", Subject: "s", Current: "c", Previous: "p", Started: now, Expires: now.Add(time.Hour), Ends: now.Add(time.Hour)}.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	r := Rotation{Subject: "s", ID: "i", From: "p", To: "q", Grace: 10 * time.Second, Expires: now.Add(time.Hour)}
	for moment, want := range map[time.Time]error{
		session.Rotated:                       nil,
		session.Rotated.Add(r.Grace):          nil,
		session.Rotated.Add(r.Grace + 1):      ErrReused,
		session.Rotated.Add(-time.Nanosecond): nil,
		session.Rotated.Add(-ClockStep):       nil,
		session.Rotated.Add(-ClockStep - 1):   ErrReused,
		session.Rotated.Add(-time.Hour):       ErrReused,
	} {
		if got, err := session.Rotate(r, moment); !errors.Is(err, want) || got.Current != "c" {
			t.Errorf("%v after the rotation: %v, %v, want %v", moment.Sub(session.Rotated), got.Current, err, want)
		}
		if _, err := session.Present(Presentation{Subject: "s", ID: "i", Token: "p", Grace: r.Grace}, moment); !errors.Is(err, want) {
			t.Errorf("presented %v after the rotation: %v, want %v", moment.Sub(session.Rotated), err, want)
		}
	}
	r.Grace = 0 // no grace period
	if _, err := session.Rotate(r, session.Rotated.Add(-time.Second)); !errors.Is(err, ErrReused) {
		t.Errorf("without a grace: %v", err)
	}
}

// TestRetryWithoutTheTime checks that the key of a rotation is valid for Retry,
// even if the clock was set back by less than Retry.
func TestRetryWithoutTheTime(t *testing.T) {
	now := time.Now()
	session, err := Session{ID: "i", Subject: "s", Current: "c", Previous: "p", Started: now, Expires: now.AddDate(1, 0, 0), Ends: now.AddDate(1, 0, 0), Key: HashKey("key")}.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	r := Rotation{Subject: "s", ID: "i", From: "p", To: "q", Key: HashKey("key"), Retry: time.Hour, Expires: now.Add(time.Hour)}
	for moment, want := range map[time.Time]error{
		session.Rotated:                       nil,
		session.Rotated.Add(r.Retry):          nil,
		session.Rotated.Add(r.Retry + 1):      ErrReused,
		session.Rotated.Add(-3 * time.Second): nil,
		session.Rotated.Add(-r.Retry - 1):     ErrReused,
	} {
		if got, err := session.Rotate(r, moment); !errors.Is(err, want) || got.Current != "c" || got.Key != session.Key {
			t.Errorf("%v after the rotation: %v, %v, want %v", moment.Sub(session.Rotated), got.Current, err, want)
		}
	}
	for retry, want := range map[time.Duration]error{0: ErrReused, 1: nil} {
		r.Retry = retry
		if _, err := session.Rotate(r, session.Rotated); !errors.Is(err, want) {
			t.Errorf("at once, with %v to retry: %v, want %v", retry, err, want)
		}
	}
}

// TestSessionRefuses checks that the use of any token is a reuse, except the
// current one and, within the grace period, the previous one. An expired
// session is not found.
func TestSessionRefuses(t *testing.T) {
	now := time.Now()
	first, err := Session{ID: "i", Subject: "s", Current: "c", Started: now, Expires: now.Add(time.Hour), Ends: now.Add(time.Hour)}.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	rotated := first
	rotated.Previous = "p"
	for name, tt := range map[string]struct {
		session Session
		token   string
		grace   time.Duration
		after   time.Duration
		want    error
	}{
		"current":                      {rotated, "c", time.Minute, time.Second, nil},
		"current, without a grace":     {rotated, "c", 0, time.Second, nil},
		"previous":                     {rotated, "p", time.Minute, time.Second, nil},
		"previous, the shortest grace": {rotated, "p", 1, 0, nil},
		"previous, without a grace":    {rotated, "p", 0, 0, ErrReused},
		"another":                      {rotated, "x", time.Minute, time.Second, ErrReused},
		"none":                         {rotated, "", time.Minute, time.Second, ErrReused},
		"none, before any rotation":    {first, "", time.Minute, time.Second, ErrReused},
		"another, before any rotation": {first, "p", time.Minute, time.Second, ErrReused},
		"current, when it expires":     {rotated, "c", time.Minute, time.Hour, ErrNotFound},
		"another, after it expired":    {rotated, "x", time.Minute, 2 * time.Hour, ErrNotFound},
	} {
		moment := tt.session.Rotated.Add(tt.after)
		got, err := tt.session.Present(Presentation{Subject: "s", ID: "i", Token: tt.token, Grace: tt.grace}, moment)
		if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) || (got == Session{}) != errors.Is(tt.want, ErrNotFound) {
			t.Errorf("%s: presented: %v, %v, want %v", name, got, err, tt.want)
		}
		if tt.token == "" {
			continue // a rotation needs a token
		}
		got, err = tt.session.Rotate(Rotation{Subject: "s", ID: "i", From: tt.token, To: "n", Grace: tt.grace, Expires: now.Add(time.Hour)}, moment)
		if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) || (got == Session{}) != errors.Is(tt.want, ErrNotFound) {
			t.Errorf("%s: rotated: %v, %v, want %v", name, got, err, tt.want)
		}
	}
}
