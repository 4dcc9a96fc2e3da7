package postgres

import (
	"errors"
	"testing"
	"time"

	"wsauth/store"
)

// FuzzEntry checks that a row is either refused or decoded as a canonical
// revocation or event with the same columns. The error for a damaged row must
// not be ErrInvalid, because the caller is not at fault.
func FuzzEntry(f *testing.F) {
	now := time.UnixMilli(1_700_000_000_000)
	for _, r := range []store.Revocation{
		{Target: store.TargetToken, ID: "a", Expires: now},
		{Target: store.TargetSession, ID: store.NewSessionID(now), Expires: now},
		{Target: store.TargetSubject, ID: "\xff\x00", Before: now, Expires: now},
		{Target: store.TargetAll, Before: now, Expires: now},
		{Target: store.TargetOlder, ID: "s", Generation: 7, Expires: now},
	} {
		target, id, since, until, _ := encodeRevocation(r)
		f.Add([]byte{}, target, id, since, until, []byte{})
	}
	f.Add([]byte("kind"), int16(0), []byte("id"), int64(0), now.UnixMilli(), []byte("data"))
	f.Add([]byte{}, int16(257), []byte("id"), int64(-1), int64(-1), []byte{})
	f.Fuzz(func(t *testing.T, kind []byte, target int16, id []byte, since, until int64, data []byte) {
		var page store.Page
		err := entry{position: 7, kind: kind, target: target, id: id, since: since, until: until, data: data}.addTo(&page)
		switch {
		case err != nil:
			if errors.Is(err, store.ErrInvalid) || len(page.Revocations)+len(page.Events) != 0 {
				t.Errorf("%v, %+v", err, page)
			}
		case page.Next.Sequence != 7 || len(page.Revocations)+len(page.Events) != 1:
			t.Errorf("%+v", page)
		case len(page.Events) == 1:
			e := page.Events[0]
			if e.Kind != string(kind) || e.ID != string(id) || string(e.Data) != string(data) || e.Expires.UnixMilli() != until {
				t.Errorf("%+v", e)
			}
		default:
			r := page.Revocations[0]
			if canonical, err := r.Canonical(); err != nil || canonical != r {
				t.Errorf("%+v is not canonical: %+v, %v", r, canonical, err)
			}
			gotTarget, gotID, gotSince, gotUntil, _ := encodeRevocation(r)
			if gotTarget != target || string(gotID) != string(id) || gotSince != since || gotUntil != until {
				t.Errorf("%+v is encoded as %d %x %d %d", r, gotTarget, gotID, gotSince, gotUntil)
			}
		}
	})
}

// TestSplitEpoch checks that timelines can be compared as text.
func TestSplitEpoch(t *testing.T) {
	id, timeline := splitEpoch("abc-123.0000000A")
	if id != "abc-123" || timeline != "0000000A" {
		t.Errorf("%q, %q", id, timeline)
	}
	if id, timeline := splitEpoch(""); id != "" || timeline != "" {
		t.Errorf("%q, %q", id, timeline)
	}
}

// FuzzSessionData checks that data is either refused or decoded as a canonical
// session. The error for damaged data must not be ErrInvalid, because the
// caller is not at fault.
func FuzzSessionData(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		session, err := decodeSession(data)
		if errors.Is(err, store.ErrInvalid) {
			t.Error(err)
		}
		if canonical, failed := session.Canonical(); err == nil && (failed != nil || canonical != session) {
			t.Errorf("%+v is not canonical", session)
		}
	})
}
