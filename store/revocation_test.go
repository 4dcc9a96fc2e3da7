package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestCanonical(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6_000_001, time.FixedZone("", -3600))
	then := now.Add(time.Hour)
	for name, tt := range map[string]struct {
		revocation Revocation
		want       string // of the error; empty: none
	}{
		"token":                {Revocation{Target: TargetToken, ID: "a", Expires: then}, ""},
		"session":              {Revocation{Target: TargetSession, ID: strings.Repeat("s", 256), Expires: then}, ""},
		"subject":              {Revocation{Target: TargetSubject, ID: "a", Before: now, Expires: then}, ""},
		"everything":           {Revocation{Target: TargetAll, Before: now, Expires: then}, ""},
		"last date":            {Revocation{Target: TargetToken, ID: "a", Expires: time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)}, ""},
		"no target":            {Revocation{ID: "a", Expires: then}, "Target(0)"},
		"unknown target":       {Revocation{Target: 7, ID: "a", Expires: then}, "Target(7)"},
		"token without ID":     {Revocation{Target: TargetToken, Expires: then}, "token with an ID of 0 bytes"},
		"subject without ID":   {Revocation{Target: TargetSubject, Before: now, Expires: then}, "user with an ID of 0 bytes"},
		"everything with ID":   {Revocation{Target: TargetAll, ID: "a", Before: now, Expires: then}, "everything with an ID of 1 bytes"},
		"long ID":              {Revocation{Target: TargetToken, ID: strings.Repeat("s", 257), Expires: then}, "an ID of 257 bytes"},
		"token with Before":    {Revocation{Target: TargetToken, ID: "a", Before: now, Expires: then}, "token with Before"},
		"session with Before":  {Revocation{Target: TargetSession, ID: "a", Before: now, Expires: then}, "session with Before"},
		"subject, no Before":   {Revocation{Target: TargetSubject, ID: "a", Expires: then}, "user with Before"},
		"Before 1970":          {Revocation{Target: TargetAll, Before: time.Unix(0, 999_999), Expires: then}, "everything with Before"},
		"Before after 9999":    {Revocation{Target: TargetAll, Before: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), Expires: then}, "everything with Before"},
		"no Expires":           {Revocation{Target: TargetToken, ID: "a"}, "token with Expires"},
		"Expires after 9999":   {Revocation{Target: TargetToken, ID: "a", Expires: time.Date(9999, 12, 31, 23, 59, 59, 999e6+1, time.UTC)}, "token with Expires"},
		"Expires when 1970 be": {Revocation{Target: TargetToken, ID: "a", Expires: time.Unix(0, 0)}, "token with Expires"},
	} {
		got, err := tt.revocation.Canonical()
		if tt.want != "" {
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.want) || got != (Revocation{}) {
				t.Errorf("%s: %v, %v, want an error with %q", name, got, err, tt.want)
			}
			continue
		}
		if again, againErr := got.Canonical(); err != nil || againErr != nil || again != got {
			t.Errorf("%s: %v, %v, and once more %v, %v", name, got, err, again, againErr)
		}
		if got.Expires.Before(tt.revocation.Expires) || got.Before.After(tt.revocation.Before) {
			t.Errorf("%s: %v does not round for safety", name, got)
		}
	}
}

// TestObsolete checks that a revocation is obsolete an hour after it has
// expired, and no earlier.
func TestObsolete(t *testing.T) {
	expires := time.Now()
	r := Revocation{Expires: expires}
	for after, want := range map[time.Duration]bool{0: false, ClockSlack - 1: false, ClockSlack: true} {
		if got := r.Obsolete(expires.Add(after)); got != want {
			t.Errorf("%v after: %v, want %v", after, got, want)
		}
	}
}

func TestTargetString(t *testing.T) {
	for target, want := range map[Target]string{TargetToken: "token", TargetSession: "session", TargetSubject: "user", TargetAll: "everything", 9: "Target(9)"} {
		if got := target.String(); got != want {
			t.Errorf("%d is %q, want %q", target, got, want)
		}
	}
}

// TestRotationIsCut checks that Canonical truncates notes of any length.
func TestRotationIsCut(t *testing.T) {
	long := strings.Repeat("n", maxNote+1)
	r, err := Rotation{Subject: "s", ID: "i", From: "p", To: "q", Expires: time.Now().Add(time.Hour), Remote: long, Agent: long}.Canonical()
	if err != nil || len(r.Remote) != maxNote || len(r.Agent) != maxNote {
		t.Errorf("%d and %d bytes, %v", len(r.Remote), len(r.Agent), err)
	}
}

// TestCovers checks edge cases of what a revocation covers.
func TestCovers(t *testing.T) {
	now := time.Now().Truncate(time.Millisecond)
	expires := now.Add(time.Hour)
	at := func(moment time.Time) string {
		return fmt.Sprintf("%08x-%04x-7000-8000-000000000000", moment.UnixMilli()>>16, moment.UnixMilli()&0xffff)
	}
	everything := Revocation{Target: TargetAll, Before: now, Expires: expires}
	subject := Revocation{Target: TargetSubject, ID: "u", Before: now, Expires: expires}
	for name, tt := range map[string]struct {
		r, other Revocation
		want     bool
	}{
		"itself":                 {everything, everything, true},
		"a subject":              {everything, subject, true},
		"a sessionless":          {everything, Revocation{Target: TargetSessionless, ID: "u", Before: now, Expires: expires}, true},
		"a later sessionless":    {everything, Revocation{Target: TargetSessionless, ID: "u", Before: now.Add(time.Millisecond), Expires: expires}, false},
		"a later subject":        {everything, Revocation{Target: TargetSubject, ID: "u", Before: now.Add(time.Millisecond), Expires: expires}, false},
		"an older session":       {everything, Revocation{Target: TargetSession, ID: at(now), Expires: expires}, true},
		"a younger session":      {everything, Revocation{Target: TargetSession, ID: at(now.Add(time.Millisecond)), Expires: expires}, false},
		"a session without date": {everything, Revocation{Target: TargetSession, ID: "s", Expires: expires}, false},
		"one that lives longer":  {everything, Revocation{Target: TargetSession, ID: at(now), Expires: expires.Add(time.Millisecond)}, false},
		"a token":                {everything, Revocation{Target: TargetToken, ID: at(now), Expires: expires}, false},
		"a subject's session":    {subject, Revocation{Target: TargetSession, ID: at(now), Expires: expires}, false},
		"another subject":        {subject, Revocation{Target: TargetSubject, ID: "v", Before: now, Expires: expires}, false},
		"an earlier everything":  {everything, Revocation{Target: TargetAll, Before: now.Add(-time.Hour), Expires: expires}, true},
	} {
		if got := tt.r.Covers(tt.other); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
