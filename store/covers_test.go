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
		for scope := range scopes {
			f.Add(byte(scopes[scope]), sid, int64(1), int64(1), int64(1), int64(1), int64(0), false)
			f.Add(byte(scopes[scope]), sid, int64(1000), int64(2000), int64(2), int64(1), int64(1), false)
			f.Add(byte(scopes[scope]), sid, int64(2000), int64(1000), int64(2), int64(2), int64(2), true)
		}
	}
	f.Fuzz(func(t *testing.T, scope byte, id string, before, otherBefore, expires, otherExpires, issued int64, same bool) {
		dated := func(r Revocation, before int64) Revocation {
			if r.Scope.dated() {
				r.Before = time.UnixMilli(before)
			}
			return r
		}
		other := dated(Revocation{Scope: Scope(scope), ID: id, Expires: time.UnixMilli(otherExpires)}, otherBefore)
		r := Revocation{Scope: Everything, Before: time.UnixMilli(before), Expires: time.UnixMilli(expires)}
		if same {
			r = dated(Revocation{Scope: Scope(scope), ID: id, Expires: time.UnixMilli(expires)}, before)
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
	everything := Revocation{Scope: Everything, Before: now, Expires: expires}
	subject := Revocation{Scope: Subject, ID: "u", Before: now, Expires: expires}
	for name, tt := range map[string]struct {
		r, other Revocation
		want     bool
	}{
		"itself":                 {everything, everything, true},
		"a subject":              {everything, subject, true},
		"a sessionless":          {everything, Revocation{Scope: Sessionless, ID: "u", Before: now, Expires: expires}, true},
		"a later sessionless":    {everything, Revocation{Scope: Sessionless, ID: "u", Before: now.Add(time.Millisecond), Expires: expires}, false},
		"a later subject":        {everything, Revocation{Scope: Subject, ID: "u", Before: now.Add(time.Millisecond), Expires: expires}, false},
		"an older session":       {everything, Revocation{Scope: Session, ID: at(now), Expires: expires}, true},
		"a younger session":      {everything, Revocation{Scope: Session, ID: at(now.Add(time.Millisecond)), Expires: expires}, false},
		"a session without date": {everything, Revocation{Scope: Session, ID: "s", Expires: expires}, false},
		"one that lives longer":  {everything, Revocation{Scope: Session, ID: at(now), Expires: expires.Add(time.Millisecond)}, false},
		"a token":                {everything, Revocation{Scope: Token, ID: at(now), Expires: expires}, false},
		"a subject's session":    {subject, Revocation{Scope: Session, ID: at(now), Expires: expires}, false},
		"another subject":        {subject, Revocation{Scope: Subject, ID: "v", Before: now, Expires: expires}, false},
		"an earlier everything":  {everything, Revocation{Scope: Everything, Before: now.Add(-time.Hour), Expires: expires}, true},
	} {
		if got := tt.r.Covers(tt.other); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
