package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"wsauth/token"
)

// sidAt is a UUIDv7 of a moment.
func sidAt(t *testing.T, at time.Time) string {
	t.Helper()
	const digits = "0123456789abcdef"
	milliseconds := at.UnixMilli()
	head := make([]byte, 12)
	for i := range head {
		head[i] = digits[milliseconds>>(44-4*i)&15]
	}
	sid := string(head[:8]) + "-" + string(head[8:]) + "-7abc-8def-0123456789ab"
	if began, ok := sessionBegan(sid); !ok || !began.Equal(at.Truncate(time.Millisecond)) {
		t.Fatalf("%s began %v, %v, want %v", sid, began, ok, at)
	}
	return sid
}

func TestConcerns(t *testing.T) {
	cut := time.Date(2026, 1, 2, 3, 4, 5, 500e6, time.UTC)
	second := cut.Truncate(time.Second)
	const ms = time.Millisecond
	everything := Revocation{Target: TargetAll, Before: cut}
	subject := Revocation{Target: TargetSubject, ID: "ann", Before: cut}
	sessionless := Revocation{Target: TargetSessionless, ID: "ann", Before: cut}
	for name, tt := range map[string]struct {
		revocation Revocation
		claims     token.Claims
		want       bool
	}{
		"token":                 {Revocation{Target: TargetToken, ID: "j"}, token.Claims{ID: "j"}, true},
		"other token":           {Revocation{Target: TargetToken, ID: "j"}, token.Claims{ID: "J"}, false},
		"token named as sub":    {Revocation{Target: TargetToken, ID: "j"}, token.Claims{Subject: "j", SessionID: "j"}, false},
		"token without jti":     {Revocation{Target: TargetToken}, token.Claims{}, false},
		"session":               {Revocation{Target: TargetSession, ID: "s"}, token.Claims{SessionID: "s", IssuedAt: cut.Add(time.Hour)}, true},
		"other session":         {Revocation{Target: TargetSession, ID: "s"}, token.Claims{SessionID: "t", ID: "s", Subject: "s"}, false},
		"token without sid":     {Revocation{Target: TargetSession}, token.Claims{}, false},
		"unknown target":        {Revocation{ID: "j", Before: cut}, token.Claims{ID: "j", SessionID: "j", Subject: "j"}, false},
		"other subject":         {subject, token.Claims{Subject: "bob", IssuedAt: second.Add(-time.Hour)}, false},
		"subject without a sub": {Revocation{Target: TargetSubject, Before: cut}, token.Claims{}, false},

		"iat before":              {subject, token.Claims{Subject: "ann", IssuedAt: second.Add(-time.Second)}, true},
		"iat in the second":       {subject, token.Claims{Subject: "ann", IssuedAt: second}, true},
		"iat in the second after": {subject, token.Claims{Subject: "ann", IssuedAt: second.Add(999 * ms)}, true},
		"iat later":               {subject, token.Claims{Subject: "ann", IssuedAt: second.Add(time.Second)}, false},
		"no iat":                  {subject, token.Claims{Subject: "ann"}, true},
		"sid is no UUIDv7":        {subject, token.Claims{Subject: "ann", IssuedAt: second, SessionID: "00000000-0000-4000-8000-000000000000"}, true},

		"session began before":           {subject, token.Claims{Subject: "ann", IssuedAt: second, SessionID: sidAt(t, cut.Add(-ms))}, true},
		"session began then":             {subject, token.Claims{Subject: "ann", IssuedAt: second, SessionID: sidAt(t, cut)}, true},
		"session began after":            {subject, token.Claims{Subject: "ann", IssuedAt: second, SessionID: sidAt(t, cut.Add(ms))}, false},
		"session began long before iat":  {subject, token.Claims{Subject: "ann", IssuedAt: second.Add(time.Hour), SessionID: sidAt(t, cut.Add(-time.Hour))}, true},
		"session younger than its token": {subject, token.Claims{Subject: "ann", IssuedAt: second, SessionID: sidAt(t, second.Add(time.Second))}, true},
		"session alone, before":          {subject, token.Claims{Subject: "ann", SessionID: sidAt(t, cut)}, true},
		"session alone, after":           {subject, token.Claims{Subject: "ann", SessionID: sidAt(t, cut.Add(ms))}, false},
		"session in capitals":            {subject, token.Claims{Subject: "ann", IssuedAt: second, SessionID: strings.ToUpper(sidAt(t, cut.Add(ms)))}, false},
		"a moment within a millisecond":  {Revocation{Target: TargetAll, Before: cut.Add(ms - 1)}, token.Claims{IssuedAt: second, SessionID: sidAt(t, cut.Add(ms))}, false},
		"sessionless, before":            {sessionless, token.Claims{Subject: "ann", IssuedAt: second}, true},
		"sessionless, later":             {sessionless, token.Claims{Subject: "ann", IssuedAt: second.Add(time.Second)}, false},
		"sessionless, no iat":            {sessionless, token.Claims{Subject: "ann"}, true},
		"sessionless, other":             {sessionless, token.Claims{Subject: "bob", IssuedAt: second}, false},
		"sessionless with a sid":         {sessionless, token.Claims{Subject: "ann", SessionID: "s", IssuedAt: second}, false},
		"sessionless without name":       {Revocation{Target: TargetSessionless, Before: cut}, token.Claims{}, false},

		"everything, before":              {everything, token.Claims{Subject: "bob", IssuedAt: second}, true},
		"everything, after":               {everything, token.Claims{Subject: "bob", IssuedAt: second.Add(time.Second)}, false},
		"everything, a session after":     {everything, token.Claims{Subject: "bob", IssuedAt: second, SessionID: sidAt(t, cut.Add(ms))}, false},
		"everything, a session from then": {everything, token.Claims{Subject: "bob", IssuedAt: second.Add(time.Hour), SessionID: sidAt(t, cut)}, true},
	} {
		if got := tt.revocation.Concerns(&tt.claims); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

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
		"unknown target":       {Revocation{Target: 6, ID: "a", Expires: then}, "Target(6)"},
		"token without ID":     {Revocation{Target: TargetToken, Expires: then}, "token with an ID of 0 bytes"},
		"subject without ID":   {Revocation{Target: TargetSubject, Before: now, Expires: then}, "subject with an ID of 0 bytes"},
		"everything with ID":   {Revocation{Target: TargetAll, ID: "a", Before: now, Expires: then}, "everything with an ID of 1 bytes"},
		"long ID":              {Revocation{Target: TargetToken, ID: strings.Repeat("s", 257), Expires: then}, "an ID of 257 bytes"},
		"token with Before":    {Revocation{Target: TargetToken, ID: "a", Before: now, Expires: then}, "token with Before"},
		"session with Before":  {Revocation{Target: TargetSession, ID: "a", Before: now, Expires: then}, "session with Before"},
		"subject, no Before":   {Revocation{Target: TargetSubject, ID: "a", Expires: then}, "subject with Before"},
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

// TestGone: a revocation is gone an hour after it has expired, and no earlier.
func TestGone(t *testing.T) {
	expires := time.Now()
	r := Revocation{Expires: expires}
	for after, want := range map[time.Duration]bool{0: false, ClockSlack - 1: false, ClockSlack: true} {
		if got := r.Gone(expires.Add(after)); got != want {
			t.Errorf("%v after: %v, want %v", after, got, want)
		}
	}
}

func TestScopeString(t *testing.T) {
	for target, want := range map[Target]string{TargetToken: "token", TargetSession: "session", TargetSubject: "subject", TargetAll: "everything", 9: "Target(9)"} {
		if got := target.String(); got != want {
			t.Errorf("%d is %q, want %q", target, got, want)
		}
	}
}

// TestConcernsWithClocksAhead: the leeway of the verifier is taken off an iat,
// and off no sid that tells when its session began. It survives a store.
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
		for _, r := range []Revocation{{Target: TargetSubject, ID: "ann", Before: cut}, {Target: TargetAll, Before: cut}} {
			if got := r.Concerns(tt.claims); got != tt.want {
				t.Errorf("%s, %s: %v, want %v", r.Target, name, got, tt.want)
			}
		}
	}
}

// TestPrepareMerges: what is revoked twice at once reaches as far as either
// says, in any order.
func TestPrepareMerges(t *testing.T) {
	now := time.Now()
	short := Revocation{Target: TargetToken, ID: "a", Expires: now.Add(time.Hour).Truncate(time.Hour)}
	long := short
	long.Expires = long.Expires.Add(time.Hour)
	for _, both := range [][]Revocation{{short, long}, {long, short}} {
		got, err := Prepare(now, both)
		if err != nil || len(got) != 1 || !got[0].Expires.Equal(long.Expires) {
			t.Errorf("%v becomes %v, %v", both, got, err)
		}
	}
}

// TestRotationIsCut: notes of any length become short ones.
func TestRotationIsCut(t *testing.T) {
	long := strings.Repeat("n", maxNote+1)
	r, err := Rotation{ID: "i", From: "p", To: "q", Expires: time.Now().Add(time.Hour), Remote: long, Agent: long}.Canonical()
	if err != nil || len(r.Remote) != maxNote || len(r.Agent) != maxNote {
		t.Errorf("%d and %d bytes, %v", len(r.Remote), len(r.Agent), err)
	}
}
