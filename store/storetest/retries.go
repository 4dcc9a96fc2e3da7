package storetest

import (
	"fmt"
	"testing"
	"time"

	"wsauth/store"
)

// keyed is a rotation without a grace, which only its key repeats.
func keyed(id, from, to, key string) store.Rotation {
	r := rotation(id, from, to)
	r.Grace, r.Key, r.Retry = 0, store.HashKey(key), 24*time.Hour
	return r
}

// presentation is one without a grace.
func presentation(id, token string) store.Presentation {
	return store.Presentation{ID: id, Token: token}
}

// testFamilyRetry: the token before the last rotation, with the key of that,
// gets what the first time got, and nothing else moves.
func testFamilyRetry(t *testing.T, s store.Families) {
	begin(t, s, family("a", "ann"))
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
	// Current itself is exchanged, whatever its key was.
	wantRotated(t, s, keyed("a", "3", "4", "key 2"), "4")
	wantRotated(t, s, keyed("a", "3", "5", "key 2"), "4")
}

// testFamilyRetryReuse: a token that was exchanged is a reuse for whoever
// lacks the key, at every moment, and for everybody once its successor was
// presented.
func testFamilyRetryReuse(t *testing.T, s store.Families) {
	other := family("other", "ann")
	begin(t, s, other)
	for name, step := range map[string]struct {
		first store.Rotation
		then  func() // to "2" and beyond
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
		begin(t, s, family("a", "ann"))
		was := wantRotated(t, s, step.first, "1")
		if step.then != nil {
			step.then()
			all, err := s.ListFamilies(t.Context(), "ann")
			if err != nil || len(all) != 2 {
				t.Fatalf("%s: %+v, %v", name, all, err)
			}
			for _, f := range all {
				if f.ID == "a" {
					was = f
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

// testFamilyRetryIsUp: the key counts as long as Retry, from the rotation on.
func testFamilyRetryIsUp(t *testing.T, s store.Families) {
	begin(t, s, family("a", "ann"))
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

// testFamilyPresent: a token that is good is accepted and stays good, and
// anything else ends the family as in a rotation.
func testFamilyPresent(t *testing.T, s store.Families) {
	other := family("other", "ann")
	begin(t, s, other)
	for name, token := range map[string]string{
		"the one before": "1", "the one before the last two": "0", "one that never was": "x", "none": "", "a long one": string(make([]byte, 10_000)),
	} {
		t.Log(name)
		begin(t, s, family("a", "ann"))
		wantPresented(t, s, presentation("a", "0"))
		wantRotated(t, s, rotation("a", "0", "1"), "1")
		was := wantRotated(t, s, keyed("a", "1", "2", "key"), "2")
		for range 2 {
			was.Key = store.KeyHash{}
			if got := wantPresented(t, s, presentation("a", "2")); got != was {
				t.Errorf("%+v\nwant %+v", got, was)
			}
			all, err := s.ListFamilies(t.Context(), "ann")
			if err != nil || len(all) != 2 || all[0] != was && all[1] != was {
				t.Errorf("%+v, %v\nwant %+v", all, err, was)
			}
		}
		wantPresentReused(t, s, presentation("a", token), was)
		wantListed(t, s, "ann", other)
	}
	// In a family that has not rotated no token is the one before.
	begin(t, s, family("a", "ann"))
	p := presentation("a", "")
	p.Grace = time.Hour
	wantPresentReused(t, s, p, family("a", "ann"))
	for _, id := range []string{"", "never", string(make([]byte, 10_000))} {
		wantNoPresentation(t, s, presentation(id, "0"))
	}
	expired := family("expired", "ann")
	expired.Expires = time.Now().Add(-time.Second)
	begin(t, s, expired)
	wantNoPresentation(t, s, presentation("expired", "0"))
}

// testFamilyPresentGrace: within the grace the token before is accepted, and
// ends nothing; the key is still good then.
func testFamilyPresentGrace(t *testing.T, s store.Families) {
	begin(t, s, family("a", "ann"))
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

// testFamilyPresentGraceIsUp: the grace counts from the rotation.
func testFamilyPresentGraceIsUp(t *testing.T, s store.Families) {
	begin(t, s, family("a", "ann"))
	was := wantRotated(t, s, rotation("a", "0", "1"), "1")
	p := presentation("a", "0")
	p.Grace = 10 * time.Second
	time.Sleep(time.Until(was.Rotated.Add(p.Grace)))
	wantPresented(t, s, p)
	time.Sleep(time.Millisecond)
	wantPresentReused(t, s, p, was)
}

// testFamilyRetryRestart: what a key was good for, and for what no more, is
// kept.
func testFamilyRetryRestart(t *testing.T, s store.Families, reopen func() store.Families) {
	begin(t, s, family("a", "ann"), family("presented", "bob"), family("plain", "cid"))
	kept := wantRotated(t, s, keyed("a", "0", "1", "key"), "1")
	wantRotated(t, s, keyed("presented", "0", "1", "key"), "1")
	presented := wantPresented(t, s, presentation("presented", "1"))
	plain := wantRotated(t, s, keyed("plain", "0", "1", ""), "1")

	s = reopen()
	wantListed(t, s, "ann", kept)
	wantListed(t, s, "bob", presented)
	wantListed(t, s, "cid", plain)
	wantRotated(t, s, keyed("a", "0", "x", "key"), "1")
	wantReused(t, s, keyed("presented", "0", "x", "key"), presented)
	wantReused(t, s, keyed("plain", "0", "x", "key"), plain)
}
