package store

import (
	"bytes"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// FuzzRevocationEncoding: what is read is canonical, and written again is the
// same bytes; what is refused leaves the revocation as it was.
func FuzzRevocationEncoding(f *testing.F) {
	moment := time.UnixMilli(1_700_000_000_123)
	valid := []Revocation{
		{Target: TargetToken, ID: "j", Expires: moment},
		{Target: TargetSession, ID: strings.Repeat("s", maxID), Expires: moment},
		{Target: TargetSubject, ID: "\xff\x00", Before: moment, Expires: moment},
		{Target: TargetAll, Before: moment, Expires: moment},
		{Target: TargetSessionless, ID: "s", Before: moment, Expires: moment},
	}
	for _, r := range valid {
		data, err := r.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		var back Revocation
		if err := back.UnmarshalBinary(data); err != nil {
			f.Fatalf("%v is not read: %v", r, err)
		}
		f.Add(data)
		f.Add(data[:len(data)-1])
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, encodedHead+1))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := Revocation{Target: TargetToken, ID: "before"}
		r := before
		if err := r.UnmarshalBinary(data); err != nil {
			if !errors.Is(err, ErrInvalid) || r != before {
				t.Errorf("%x: %v, and left %v", data, err, r)
			}
			return
		}
		if canonical, err := r.Canonical(); err != nil || canonical != r {
			t.Errorf("%x: %v is not canonical: %v, %v", data, r, canonical, err)
		}
		if again, err := r.AppendBinary(nil); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x: written again as %x, %v", data, again, err)
		}
	})
}

// FuzzSessionBegan: a moment is found exactly where the text has the form of a
// UUIDv7, and it is the number in the first 12 digits.
func FuzzSessionBegan(f *testing.F) {
	form := regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$`)
	sid := NewSessionID()
	if !form.MatchString(sid) {
		f.Fatalf("the seed %q is no UUIDv7", sid)
	}
	for _, s := range []string{
		"", sid, strings.ToUpper(sid), sid[1:], sid + "0", " " + sid[1:], strings.Replace(sid, "-7", "-4", 1), strings.ReplaceAll(sid, "-", ""),
		"ffffffff-ffff-7fff-bfff-ffffffffffff", "00000000-0000-7000-8000-000000000000", "00000000-0000-7000-7000-000000000000", "{" + sid + "}", sid[:35] + "g", "g" + sid[1:], sid[:9] + "g" + sid[10:], sid[:16] + "g" + sid[17:], sid[:21] + "g" + sid[22:],
		"0x000000-0000-7000-8000-00000000000g",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sid string) {
		began, ok := sessionBegan(sid)
		if ok != form.MatchString(sid) {
			t.Fatalf("%q: %v", sid, ok)
		}
		if !ok {
			return
		}
		want, err := strconv.ParseInt(sid[:8]+sid[9:13], 16, 64)
		if err != nil || began.UnixMilli() != want {
			t.Errorf("%q: %v, want %d, %v", sid, began, want, err)
		}
	})
}
