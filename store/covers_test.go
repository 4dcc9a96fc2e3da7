package store

import (
	"fmt"
	"testing"
	"time"

	"wsauth/token"
)

// FuzzCovers: a revocation that covers another concerns each token that the
// other does.
func FuzzCovers(f *testing.F) {
	for _, sid := range []string{"s", "", "00000000-03e8-7000-8000-000000000000", "00000000-07d0-7000-8000-000000000000"} {
		for target := range targets {
			f.Add(byte(targets[target]), sid, int64(1), int64(1), int64(1), int64(1), int64(0), false)
			f.Add(byte(targets[target]), sid, int64(1000), int64(2000), int64(2), int64(1), int64(1), false)
			f.Add(byte(targets[target]), sid, int64(2000), int64(1000), int64(2), int64(2), int64(2), true)
		}
	}
	f.Fuzz(func(t *testing.T, target byte, id string, before, otherBefore, expires, otherExpires, issued int64, same bool) {
		dated := func(r Revocation, before int64) Revocation {
			if r.Target.dated() {
				r.Before = time.UnixMilli(before)
			}
			return r
		}
		other := dated(Revocation{Target: Target(target), ID: id, Expires: time.UnixMilli(otherExpires)}, otherBefore)
		r := Revocation{Target: TargetAll, Before: time.UnixMilli(before), Expires: time.UnixMilli(expires)}
		if same {
			r = dated(Revocation{Target: Target(target), ID: id, Expires: time.UnixMilli(expires)}, before)
		}
		var err error
		if r, err = r.Canonical(); err != nil {
			return
		}
		if other, err = other.Canonical(); err != nil || !r.Covers(other) {
			return
		}
		if r.Expires.Before(other.Expires) {
			t.Errorf("%v covers %v, and is forgotten before it", r, other)
		}
		for _, claims := range []token.Claims{{ID: id}, {SessionID: id}, {Subject: id}, {ID: id, SessionID: id, Subject: id}} {
			for _, at := range []int64{issued, before / 1000, otherBefore / 1000, otherBefore/1000 + 1} {
				if claims.IssuedAt = (time.Time{}); at > 0 {
					claims.IssuedAt = time.Unix(at, 0)
				}
				if other.Concerns(&claims) && !r.Concerns(&claims) {
					t.Errorf("%v covers %v, but not of %v issued %v", r, other, claims, claims.IssuedAt)
				}
			}
		}
	})
}

// TestCovers: what a revocation covers, at the edges.
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
