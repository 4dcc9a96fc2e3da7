package storetest

import (
	"fmt"
	"testing"
	"time"

	"wsauth/store"
)

// keyed returns a rotation without a grace period. It can be repeated only with
// its key.
func keyed(id, from, to, key string) store.Rotation {
	r := rotation(id, from, to)
	r.Grace, r.Key, r.Retry = 0, store.HashKey(key), 24*time.Hour
	return r
}

// presentation returns a presentation of a session of ann, without a grace
// period.
func presentation(id, token string) store.Presentation {
	return store.Presentation{Subject: "ann", ID: id, Token: token}
}

// testSessionRetry checks that repeating the last rotation with its key returns
// the same result and changes nothing else.
func testSessionRetry(t *testing.T, s store.Sessions) {
	begin(t, s, newSession("a", "ann"))
	for n := range 3 {
		from, to, key := fmt.Sprint(n), fmt.Sprint(n+1), fmt.Sprint("key ", n)
		first := wantRotated(t, s, keyed("a", from, to, key), to)
		if first.Key != store.HashKey(key) {
			t.Errorf("Key is %x", first.Key)
		}
		for try := range 3 {
			again := keyed("a", from, fmt.Sprint("other ", try), key)
			again.Expires = expires.Add(-time.Hour)
			if got := wantRotated(t, s, again, to); got != first {
				t.Errorf("%+v\nwant %+v", got, first)
			}
		}
		wantListed(t, s, "ann", first)
	}
	// Current itself is exchanged, even with the key of the last rotation.
	wantRotated(t, s, keyed("a", "3", "4", "key 2"), "4")
	wantRotated(t, s, keyed("a", "3", "5", "key 2"), "4")
}

// testSessionRetryReuse checks that the use of an exchanged token without the
// key is a reuse. With the key, it is a reuse only after its successor was
// presented.
func testSessionRetryReuse(t *testing.T, s store.Sessions) {
	other := newSession("other", "ann")
	begin(t, s, other)
	for name, step := range map[string]struct {
		first store.Rotation
		then  func() // after "2"
		again store.Rotation
	}{
		"without a key":             {keyed("a", "0", "1", "key"), nil, keyed("a", "0", "x", "")},
		"with another key":          {keyed("a", "0", "1", "key"), nil, keyed("a", "0", "x", "other")},
		"with a key that none made": {keyed("a", "0", "1", ""), nil, keyed("a", "0", "x", "key")},
		"without any key":           {keyed("a", "0", "1", ""), nil, keyed("a", "0", "x", "")},
		"where no retry is allowed": {keyed("a", "0", "1", "key"), nil, withoutRetry(keyed("a", "0", "x", "key"))},
		"after the successor rotated": {keyed("a", "0", "1", "key"), func() {
			wantRotated(t, s, keyed("a", "1", "2", "key"), "2")
		}, keyed("a", "0", "x", "key")},
		"after the successor was presented": {keyed("a", "0", "1", "key"), func() {
			wantPresented(t, s, presentation("a", "1"))
		}, keyed("a", "0", "x", "key")},
		"of a token that never was": {keyed("a", "0", "1", "key"), nil, keyed("a", "x", "y", "key")},
	} {
		t.Log(name)
		begin(t, s, newSession("a", "ann"))
		was := wantRotated(t, s, step.first, "1")
		if step.then != nil {
			step.then()
			all, err := s.ListSessions(t.Context(), "ann")
			if err != nil || len(all) != 2 {
				t.Fatalf("%s: %+v, %v", name, all, err)
			}
			for _, session := range all {
				if session.ID == "a" {
					was = session
				}
			}
		}
		wantReused(t, s, step.again, was)
		wantListed(t, s, "ann", other)
	}
}

func withoutRetry(r store.Rotation) store.Rotation {
	r.Retry = 0
	return r
}

// testSessionRetryHasEnded checks that the key is valid until Retry after the
// rotation.
func testSessionRetryHasEnded(t *testing.T, s store.Sessions) {
	begin(t, s, newSession("a", "ann"))
	was := wantRotated(t, s, keyed("a", "0", "1", "key"), "1")
	for range 2 {
		time.Sleep(time.Until(was.Rotated.Add(24*time.Hour)) / 2)
		was = wantRotated(t, s, keyed("a", "0", "x", "key"), "1")
	}
	time.Sleep(time.Until(was.Rotated.Add(24 * time.Hour)))
	was = wantRotated(t, s, keyed("a", "0", "x", "key"), "1")
	time.Sleep(time.Millisecond)
	wantReused(t, s, keyed("a", "0", "x", "key"), was)
}

// testSessionPresent checks that presenting the valid token keeps it valid, and
// that presenting any other token ends the session, as in a rotation.
func testSessionPresent(t *testing.T, s store.Sessions) {
	other := newSession("other", "ann")
	begin(t, s, other)
	for name, token := range map[string]string{
		"the one before": "1", "the one before the last two": "0", "one that never was": "x", "none": "", "a long one": string(make([]byte, 10_000)),
	} {
		t.Log(name)
		begin(t, s, newSession("a", "ann"))
		wantPresented(t, s, presentation("a", "0"))
		wantRotated(t, s, rotation("a", "0", "1"), "1")
		was := wantRotated(t, s, keyed("a", "1", "2", "key"), "2")
		for range 2 {
			was.Key = store.KeyHash{}
			if got := wantPresented(t, s, presentation("a", "2")); got != was {
				t.Errorf("%+v\nwant %+v", got, was)
			}
			all, err := s.ListSessions(t.Context(), "ann")
			if err != nil || len(all) != 2 || all[0] != was && all[1] != was {
				t.Errorf("%+v, %v\nwant %+v", all, err, was)
			}
		}
		wantPresentReused(t, s, presentation("a", token), was)
		wantListed(t, s, "ann", other)
	}
	// In a session that has not rotated, there is no previous token.
	begin(t, s, newSession("a", "ann"))
	p := presentation("a", "")
	p.Grace = time.Hour
	wantPresentReused(t, s, p, newSession("a", "ann"))
	for _, id := range []string{"", "never", string(make([]byte, 10_000))} {
		wantPresentNotFound(t, s, presentation(id, "0"))
	}
	expired := newSession("expired", "ann")
	expired.Expires = time.Now().Add(-time.Second)
	begin(t, s, expired)
	wantPresentNotFound(t, s, presentation("expired", "0"))
}

// testSessionPresentGrace checks that within the grace period, the previous
// token is accepted and the key remains valid.
func testSessionPresentGrace(t *testing.T, s store.Sessions) {
	begin(t, s, newSession("a", "ann"))
	was := wantRotated(t, s, keyed("a", "0", "1", "key"), "1")
	p := presentation("a", "0")
	p.Grace = 365 * 24 * time.Hour
	for range 2 {
		if got := wantPresented(t, s, p); got != was {
			t.Errorf("%+v\nwant %+v", got, was)
		}
	}
	wantRotated(t, s, keyed("a", "0", "x", "key"), "1")
}

// testSessionPresentGraceHasEnded checks that the grace period starts at the
// rotation.
func testSessionPresentGraceHasEnded(t *testing.T, s store.Sessions) {
	begin(t, s, newSession("a", "ann"))
	was := wantRotated(t, s, rotation("a", "0", "1"), "1")
	p := presentation("a", "0")
	p.Grace = 10 * time.Second
	time.Sleep(time.Until(was.Rotated.Add(p.Grace)))
	wantPresented(t, s, p)
	time.Sleep(time.Millisecond)
	wantPresentReused(t, s, p, was)
}

// testSessionRetryRestart checks that keys survive a restart, and that cleared
// keys do not return.
func testSessionRetryRestart(t *testing.T, s store.Sessions, reopen func() store.Sessions) {
	begin(t, s, newSession("a", "ann"), newSession("presented", "ann"), newSession("plain", "ann"))
	kept := wantRotated(t, s, keyed("a", "0", "1", "key"), "1")
	wantRotated(t, s, keyed("presented", "0", "1", "key"), "1")
	presented := wantPresented(t, s, presentation("presented", "1"))
	plain := wantRotated(t, s, keyed("plain", "0", "1", ""), "1")

	s = reopen()
	wantListed(t, s, "ann", kept, plain, presented)
	wantRotated(t, s, keyed("a", "0", "x", "key"), "1")
	wantReused(t, s, keyed("presented", "0", "x", "key"), presented)
	wantReused(t, s, keyed("plain", "0", "x", "key"), plain)
}
