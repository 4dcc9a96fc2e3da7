package storekit

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"wsauth/store"
)

// FuzzRevocationEncoding checks that decoded revocations are canonical, and
// that encoding them again yields the same bytes.
func FuzzRevocationEncoding(f *testing.F) {
	moment := time.UnixMilli(1_700_000_000_123).UTC()
	for _, r := range []store.Revocation{
		{Target: store.TargetToken, ID: "j", Expires: moment},
		{Target: store.TargetSession, ID: strings.Repeat("s", 256), Expires: moment},
		{Target: store.TargetSubject, ID: "\xff\x00", Before: moment, Expires: moment},
		{Target: store.TargetAll, Before: moment, Expires: moment},
		{Target: store.TargetSessionless, ID: "s", Before: moment, Expires: moment},
		{Target: store.TargetOlder, ID: "s", Generation: 1, Expires: moment},
		{Target: store.TargetOlder, ID: "s", Generation: 1<<53 - 1, Expires: moment},
	} {
		data := AppendRevocation(nil, r)
		if back, err := DecodeRevocation(data); err != nil || back != r {
			f.Fatalf("%v is decoded as %v, %v", r, back, err)
		}
		f.Add(data)
		f.Add(data[:len(data)-1])
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, encodedHead+1))
	// An invalid Before: the zero time, in the year 1, must be encoded as 0.
	f.Add(append([]byte{1, 0xff, 0xff, 0xc7, 0x7c, 0xed, 0xd3, 0x28, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 'j'))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeRevocation(data)
		if err != nil {
			if !errors.Is(err, store.ErrInvalid) || r != (store.Revocation{}) {
				t.Errorf("%x: %v, %v", data, r, err)
			}
			return
		}
		if canonical, err := r.Canonical(); err != nil || canonical != r {
			t.Errorf("%x: %v is not canonical: %v, %v", data, r, canonical, err)
		}
		if again := AppendRevocation(nil, r); !bytes.Equal(again, data) {
			t.Errorf("%x: encoded again as %x", data, again)
		}
	})
}

// FuzzSessionEncoding checks that decoded sessions are canonical, and that
// encoding them again yields the same bytes.
func FuzzSessionEncoding(f *testing.F) {
	moment := time.UnixMilli(1_700_000_000_123)
	long := strings.Repeat("n", 256)
	for _, s := range []store.Session{
		{ID: "i", Subject: "s", Current: "c", Started: moment, Expires: moment, Ends: moment},
		{ID: long, Subject: long, Current: long, Previous: long, Started: moment, Rotated: moment.Add(1), Expires: moment.Add(time.Hour), Ends: moment.Add(2 * time.Hour), Remote: long, Agent: "\xff\x00"},
		{ID: "i", Subject: "s", Current: "c", Previous: "p", Started: moment, Expires: moment, Ends: moment, Key: store.HashKey("key")},
		{ID: "i", Subject: "s", Current: "c", Started: moment, Expires: moment, Ends: moment, Generation: 1},
		{ID: "i", Subject: "s", Current: "c", Started: moment, Expires: moment, Ends: moment, Parent: long},
		{ID: "i", Subject: "s", Current: "c", Started: moment, Expires: moment, Ends: moment, Generation: 1<<53 - 1, Parent: "p", Key: store.HashKey("key")},
	} {
		s, err := s.Canonical()
		if err != nil {
			f.Fatal(err)
		}
		data := AppendSession(nil, s)
		if back, err := DecodeSession(data); err != nil || back != s {
			f.Fatalf("%v is decoded as %v: %v", s, back, err)
		}
		f.Add(data)
		f.Add(data[:len(data)-1])
		f.Add(append(bytes.Clone(data), 0))
		f.Add(append(bytes.Clone(data), make([]byte, len(s.Key))...))
		f.Add(append(bytes.Clone(data), bytes.Repeat([]byte{1}, len(s.Key)+1)...))
	}
	for _, n := range []int{0, 7, 31, 32, 33, 44, 45} { // near the boundaries of the times and the lengths
		f.Add(make([]byte, n))
	}
	f.Add(bytes.Repeat([]byte{0xff}, 100))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := DecodeSession(data)
		if err != nil {
			if !errors.Is(err, store.ErrInvalid) || s != (store.Session{}) {
				t.Errorf("%x: %v, %v", data, s, err)
			}
			return
		}
		if canonical, err := s.Canonical(); err != nil || canonical != s {
			t.Errorf("%x: %v is not canonical: %v, %v", data, s, canonical, err)
		}
		if again := AppendSession(nil, s); !bytes.Equal(again, data) {
			t.Errorf("%x: encoded again as %x", data, again)
		}
	})
}

// FuzzEventEncoding checks that decoded events are canonical, and that encoding
// them again yields the same bytes.
func FuzzEventEncoding(f *testing.F) {
	moment := time.UnixMilli(1_700_000_000_123)
	for _, e := range []store.Event{
		{Kind: "k", ID: "i", Expires: moment},
		{Kind: strings.Repeat("k", 32), ID: strings.Repeat("i", 256), Data: make([]byte, store.MaxEventData), Expires: moment},
		{Kind: "\xff\x00", ID: "\x00\xff", Data: []byte("data"), Expires: moment},
	} {
		e, err := e.Canonical()
		if err != nil {
			f.Fatal(err)
		}
		data := AppendEvent(nil, e)
		if back, err := DecodeEvent(data); err != nil || !reflect.DeepEqual(back, e) {
			f.Fatalf("%.200v is decoded as %.200v: %v", e, back, err)
		}
		f.Add(data)
		f.Add(data[:len(data)-1])
		f.Add(append(bytes.Clone(data), 0))
	}
	for _, n := range []int{0, 8, 9, 10, 11, 12} { // near the boundaries of the lengths
		f.Add(make([]byte, n))
		f.Add(bytes.Repeat([]byte{0xff}, n))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := DecodeEvent(data)
		if err != nil {
			if !errors.Is(err, store.ErrInvalid) || !reflect.DeepEqual(e, store.Event{}) {
				t.Errorf("%x: %v, %v", data, e, err)
			}
			return
		}
		if canonical, err := e.Canonical(); err != nil || !reflect.DeepEqual(canonical, e) {
			t.Errorf("%x: %v is not canonical: %v, %v", data, e, canonical, err)
		}
		if again := AppendEvent(nil, e); !bytes.Equal(again, data) {
			t.Errorf("%x: encoded again as %x", data, again)
		}
	})
}

// TestPrepareEvents checks that of events with the same name, the last one
// remains, in its place, and that expired ones are dropped.
func TestPrepareEvents(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_123).UTC()
	event := func(kind, id, data string) store.Event {
		return store.Event{Kind: kind, ID: id, Data: []byte(data), Expires: now.Add(time.Millisecond)}
	}
	expired := event("k", "expired", "")
	expired.Expires = now
	got, err := PrepareEvents(now, []store.Event{event("k", "a", "1"), event("k", "b", "2"), expired, event("l", "a", "3"), event("k", "a", "4")})
	want := []store.Event{event("k", "b", "2"), event("l", "a", "3"), event("k", "a", "4")}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v\nwant %v", got, err, want)
	}
}

// TestSessionEncodingWithoutAKey checks that a session without a key has the
// encoding that was used before sessions had keys, so that old files can be
// read.
func TestSessionEncodingWithoutAKey(t *testing.T) {
	moment := time.UnixMilli(0x0102030405).UTC()
	s := store.Session{ID: "i", Subject: "s", Current: "c", Previous: "p", Started: moment, Rotated: moment, Expires: moment, Ends: moment, Remote: "r", Agent: "a"}
	old := []byte(strings.Repeat("\x00\x00\x00\x01\x02\x03\x04\x05", 4) + "\x00\x01i\x00\x01s\x00\x01c\x00\x01p\x00\x01r\x00\x01a")
	if back, err := DecodeSession(old); err != nil || back != s {
		t.Errorf("decoded as %+v, %v, want %+v", back, err, s)
	}
	if data := AppendSession(nil, s); !bytes.Equal(data, old) {
		t.Errorf("encoded as %q, want %q", data, old)
	}
}

// TestRevocationEncoding checks that the encoding matches that of existing
// files.
func TestRevocationEncoding(t *testing.T) {
	moment := time.UnixMilli(0x0102030405).UTC()
	const dates = "\x00\x00\x00\x01\x02\x03\x04\x05"
	for want, r := range map[string]store.Revocation{
		"\x01" + strings.Repeat("\x00", 8) + dates + "j":          {Target: store.TargetToken, ID: "j", Expires: moment},
		"\x02" + strings.Repeat("\x00", 8) + dates + "s":          {Target: store.TargetSession, ID: "s", Expires: moment},
		"\x03" + dates + dates + "u":                              {Target: store.TargetSubject, ID: "u", Before: moment, Expires: moment},
		"\x04" + dates + dates:                                    {Target: store.TargetAll, Before: moment, Expires: moment},
		"\x05" + dates + dates + "u":                              {Target: store.TargetSessionless, ID: "u", Before: moment, Expires: moment},
		"\x06" + "\x00\x00\x00\x00\x00\x00\x01\x02" + dates + "s": {Target: store.TargetOlder, ID: "s", Generation: 0x102, Expires: moment},
	} {
		if data := AppendRevocation(nil, r); string(data) != want {
			t.Errorf("%v is encoded as %q, want %q", r, data, want)
		}
		if back, err := DecodeRevocation([]byte(want)); err != nil || back != r {
			t.Errorf("%q is decoded as %v, %v, want %v", want, back, err, r)
		}
	}
}

// TestPrepareMerges checks that two revocations of the same name are merged, in
// either order.
func TestPrepareMerges(t *testing.T) {
	now := time.Now()
	short := store.Revocation{Target: store.TargetToken, ID: "a", Expires: now.Add(time.Hour).Truncate(time.Hour)}
	long := short
	long.Expires = long.Expires.Add(time.Hour)
	for _, both := range [][]store.Revocation{{short, long}, {long, short}} {
		got, err := Prepare(now, both)
		if err != nil || len(got) != 1 || !got[0].Expires.Equal(long.Expires) {
			t.Errorf("%v becomes %v, %v", both, got, err)
		}
	}
}

// TestDefaults checks that a limit of 0 or less means the default.
func TestDefaults(t *testing.T) {
	want := store.Limits{Revocations: store.DefaultRevocationLimit, Tickets: 7, Sessions: store.DefaultSessionLimit, Events: store.DefaultEventLimit}
	if got := Defaults(store.Limits{Revocations: -1, Tickets: 7}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
