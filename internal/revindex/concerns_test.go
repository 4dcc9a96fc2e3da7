package revindex

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"wsauth/store"
	"wsauth/token"
)

// sidAt returns a UUIDv7 of a time.
func sidAt(t *testing.T, at time.Time) string {
	t.Helper()
	const digits = "0123456789abcdef"
	milliseconds := at.UnixMilli()
	head := make([]byte, 12)
	for i := range head {
		head[i] = digits[milliseconds>>(44-4*i)&15]
	}
	sid := string(head[:8]) + "-" + string(head[8:]) + "-7abc-8def-0123456789ab"
	if started, ok := store.SessionStarted(sid); !ok || !started.Equal(at.Truncate(time.Millisecond)) {
		t.Fatalf("%s started %v, %v, want %v", sid, started, ok, at)
	}
	return sid
}

func TestConcerns(t *testing.T) {
	cut := time.Date(2026, 1, 2, 3, 4, 5, 500e6, time.UTC)
	second := cut.Truncate(time.Second)
	const ms = time.Millisecond
	everything := store.Revocation{Target: store.TargetAll, Before: cut}
	subject := store.Revocation{Target: store.TargetSubject, ID: "ann", Before: cut}
	sessionless := store.Revocation{Target: store.TargetSessionless, ID: "ann", Before: cut}
	older := store.Revocation{Target: store.TargetOlder, ID: "s", Generation: 5}
	for name, tt := range map[string]struct {
		revocation store.Revocation
		claims     token.Claims
		want       bool
	}{
		"token":                 {store.Revocation{Target: store.TargetToken, ID: "j"}, token.Claims{ID: "j"}, true},
		"other token":           {store.Revocation{Target: store.TargetToken, ID: "j"}, token.Claims{ID: "J"}, false},
		"token named as sub":    {store.Revocation{Target: store.TargetToken, ID: "j"}, token.Claims{Subject: "j", SessionID: "j"}, false},
		"token without jti":     {store.Revocation{Target: store.TargetToken}, token.Claims{}, false},
		"session":               {store.Revocation{Target: store.TargetSession, ID: "s"}, token.Claims{SessionID: "s", IssuedAt: cut.Add(time.Hour)}, true},
		"other session":         {store.Revocation{Target: store.TargetSession, ID: "s"}, token.Claims{SessionID: "t", ID: "s", Subject: "s"}, false},
		"token without sid":     {store.Revocation{Target: store.TargetSession}, token.Claims{}, false},
		"unknown target":        {store.Revocation{ID: "j", Before: cut}, token.Claims{ID: "j", SessionID: "j", Subject: "j"}, false},
		"other subject":         {subject, token.Claims{Subject: "bob", IssuedAt: second.Add(-time.Hour)}, false},
		"subject without a sub": {store.Revocation{Target: store.TargetSubject, Before: cut}, token.Claims{}, false},

		"iat before":              {subject, token.Claims{Subject: "ann", IssuedAt: second.Add(-time.Second)}, true},
		"iat in the second":       {subject, token.Claims{Subject: "ann", IssuedAt: second}, true},
		"iat in the second after": {subject, token.Claims{Subject: "ann", IssuedAt: second.Add(999 * ms)}, true},
		"iat later":               {subject, token.Claims{Subject: "ann", IssuedAt: second.Add(time.Second)}, false},
		"no iat":                  {subject, token.Claims{Subject: "ann"}, true},
		"sid is no UUIDv7":        {subject, token.Claims{Subject: "ann", IssuedAt: second, SessionID: "00000000-0000-4000-8000-000000000000"}, true},

		"session started before":          {subject, token.Claims{Subject: "ann", IssuedAt: second, SessionID: sidAt(t, cut.Add(-ms))}, true},
		"session started then":            {subject, token.Claims{Subject: "ann", IssuedAt: second, SessionID: sidAt(t, cut)}, true},
		"session started after":           {subject, token.Claims{Subject: "ann", IssuedAt: second, SessionID: sidAt(t, cut.Add(ms))}, false},
		"session started long before iat": {subject, token.Claims{Subject: "ann", IssuedAt: second.Add(time.Hour), SessionID: sidAt(t, cut.Add(-time.Hour))}, true},
		"session younger than its token":  {subject, token.Claims{Subject: "ann", IssuedAt: second, SessionID: sidAt(t, second.Add(time.Second))}, true},
		"session alone, before":           {subject, token.Claims{Subject: "ann", SessionID: sidAt(t, cut)}, true},
		"session alone, after":            {subject, token.Claims{Subject: "ann", SessionID: sidAt(t, cut.Add(ms))}, false},
		"session in capitals":             {subject, token.Claims{Subject: "ann", IssuedAt: second, SessionID: strings.ToUpper(sidAt(t, cut.Add(ms)))}, false},
		"a moment within a millisecond":   {store.Revocation{Target: store.TargetAll, Before: cut.Add(ms - 1)}, token.Claims{IssuedAt: second, SessionID: sidAt(t, cut.Add(ms))}, false},
		"sessionless, before":             {sessionless, token.Claims{Subject: "ann", IssuedAt: second}, true},
		"sessionless, later":              {sessionless, token.Claims{Subject: "ann", IssuedAt: second.Add(time.Second)}, false},
		"sessionless, no iat":             {sessionless, token.Claims{Subject: "ann"}, true},
		"sessionless, other":              {sessionless, token.Claims{Subject: "bob", IssuedAt: second}, false},
		"sessionless with a sid":          {sessionless, token.Claims{Subject: "ann", SessionID: "s", IssuedAt: second}, false},
		"sessionless without name":        {store.Revocation{Target: store.TargetSessionless, Before: cut}, token.Claims{}, false},

		"older":                    {older, token.Claims{SessionID: "s", Type: token.TypeAccess, Generation: 4}, true},
		"older, no generation":     {older, token.Claims{SessionID: "s", Type: token.TypeAccess}, true},
		"older, the generation":    {older, token.Claims{SessionID: "s", Type: token.TypeAccess, Generation: 5}, false},
		"older, a newer one":       {older, token.Claims{SessionID: "s", Type: token.TypeAccess, Generation: 6}, false},
		"older, a refresh token":   {older, token.Claims{SessionID: "s", Type: token.TypeRefresh, Generation: 4}, false},
		"older, other session":     {older, token.Claims{SessionID: "t", ID: "s", Subject: "s", Type: token.TypeAccess}, false},
		"older, token without sid": {store.Revocation{Target: store.TargetOlder, Generation: 5}, token.Claims{Type: token.TypeAccess}, false},

		"everything, before":              {everything, token.Claims{Subject: "bob", IssuedAt: second}, true},
		"everything, after":               {everything, token.Claims{Subject: "bob", IssuedAt: second.Add(time.Second)}, false},
		"everything, a session after":     {everything, token.Claims{Subject: "bob", IssuedAt: second, SessionID: sidAt(t, cut.Add(ms))}, false},
		"everything, a session from then": {everything, token.Claims{Subject: "bob", IssuedAt: second.Add(time.Hour), SessionID: sidAt(t, cut)}, true},
	} {
		if got := Concerns(tt.revocation, &tt.claims); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// TestConcernsWithClocksAhead checks that the verifier's leeway is subtracted
// from an iat, but not from the start time in a sid. The claims are decoded
// from their stored form, which keeps the leeway.
func TestConcernsWithClocksAhead(t *testing.T) {
	cut := time.Date(2026, 1, 2, 3, 4, 5, 500e6, time.UTC)
	second := cut.Truncate(time.Second)
	const leeway = 20 * time.Second
	claims := func(iat time.Time, sid string) *token.Claims {
		var c token.Claims
		member := ""
		if sid != "" {
			member = fmt.Sprintf(`,"sid":%q`, sid)
		}
		data := fmt.Sprintf(`{"sub":"ann","exp":"2027-01-01T00:00:00Z","iat":%q,"issued_leeway":%d%s}`, iat.Format(time.RFC3339Nano), leeway, member)
		if err := c.UnmarshalBinary([]byte(data)); err != nil {
			t.Fatal(err)
		}
		return &c
	}
	for name, tt := range map[string]struct {
		claims *token.Claims
		want   bool
	}{
		"at the end of the leeway":         {claims(second.Add(leeway), ""), true},
		"in its last second":               {claims(second.Add(leeway+time.Second-1), ""), true},
		"after it":                         {claims(second.Add(leeway+time.Second), ""), false},
		"a sid that tells nothing":         {claims(second.Add(leeway), "s"), true},
		"a session after":                  {claims(second.Add(time.Second), sidAt(t, cut.Add(time.Millisecond))), false},
		"a session before":                 {claims(second.Add(time.Hour), sidAt(t, cut)), true},
		"a session younger than its token": {claims(second.Add(leeway), sidAt(t, cut.Add(time.Hour))), true},
	} {
		for _, r := range []store.Revocation{{Target: store.TargetSubject, ID: "ann", Before: cut}, {Target: store.TargetAll, Before: cut}} {
			if got := Concerns(r, tt.claims); got != tt.want {
				t.Errorf("%s, %s: %v, want %v", r.Target, name, got, tt.want)
			}
		}
	}
}

// FuzzCovers checks that a revocation that covers another one concerns each
// token that the other concerns.
func FuzzCovers(f *testing.F) {
	for _, sid := range []string{"s", "", "00000000-03e8-7000-8000-000000000000", "00000000-07d0-7000-8000-000000000000"} {
		for target := byte(store.TargetToken); target < byte(targets); target++ {
			f.Add(target, sid, int64(1), int64(1), int64(1), int64(1), int64(0), false)
			f.Add(target, sid, int64(1000), int64(2000), int64(2), int64(1), int64(1), false)
			f.Add(target, sid, int64(2000), int64(1000), int64(2), int64(2), int64(2), true)
		}
	}
	f.Fuzz(func(t *testing.T, target byte, id string, before, otherBefore, expires, otherExpires, issued int64, same bool) {
		dated := func(r store.Revocation, before int64) store.Revocation {
			switch {
			case r.Target == store.TargetOlder:
				r.Generation = uint64(before)
			case r.Target >= store.TargetSubject:
				r.Before = time.UnixMilli(before)
			}
			return r
		}
		other := dated(store.Revocation{Target: store.Target(target), ID: id, Expires: time.UnixMilli(otherExpires)}, otherBefore)
		r := store.Revocation{Target: store.TargetAll, Before: time.UnixMilli(before), Expires: time.UnixMilli(expires)}
		switch {
		case same && before%2 == 0 && other.Target == store.TargetOlder:
			r = store.Revocation{Target: store.TargetSession, ID: id, Expires: time.UnixMilli(expires)}
		case same:
			r = dated(store.Revocation{Target: store.Target(target), ID: id, Expires: time.UnixMilli(expires)}, before)
		}
		var err error
		if r, err = r.Canonical(); err != nil {
			return
		}
		if other, err = other.Canonical(); err != nil || !r.Covers(other) {
			return
		}
		if r.Expires.Before(other.Expires) {
			t.Errorf("%v covers %v, but expires before it", r, other)
		}
		for _, claims := range []token.Claims{
			{ID: id}, {SessionID: id}, {Subject: id}, {ID: id, SessionID: id, Subject: id},
			{SessionID: id, Type: token.TypeAccess}, {SessionID: id, Type: token.TypeAccess, Generation: other.Generation - min(other.Generation, 1)},
		} {
			for _, at := range []int64{issued, before / 1000, otherBefore / 1000, otherBefore/1000 + 1} {
				if claims.IssuedAt = (time.Time{}); at > 0 {
					claims.IssuedAt = time.Unix(at, 0)
				}
				if Concerns(other, &claims) && !Concerns(r, &claims) {
					t.Errorf("%v covers %v, but not of %v issued %v", r, other, claims, claims.IssuedAt)
				}
			}
		}
	})
}
