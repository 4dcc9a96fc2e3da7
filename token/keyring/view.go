package keyring

import (
	"slices"
	"time"

	"wsauth/token"
)

// A view is what some keys do from one of their dates to the next.
type view struct {
	entries     []Entry   // newest first
	from, until time.Time // zero: since ever, and for ever
	living      []*token.Key
	set         *token.KeySet // of the living
	signer      *token.Key    // nil when none can
}

// newView is what entries do now. It has the set of the view before where that holds the same keys.
func newView(entries []Entry, now time.Time, before *view) *view {
	v := &view{entries: entries}
	for _, e := range entries {
		v.bound(e.NotBefore, now)
		v.bound(e.Expires, now)
		if !e.expired(now) {
			v.living = append(v.living, e.Key)
		}
	}
	if i := signing(entries, now); i >= 0 {
		v.signer = entries[i].Key
	}
	if before != nil && slices.Equal(before.living, v.living) {
		v.set = before.set
		return v
	}
	set, err := newSet(v.living)
	if err != nil {
		panic("keyring: " + err.Error()) // read has made sure that there are not too many, each with an ID of its own
	}
	v.set = set
	return v
}

// bound is told of a moment in which something changes.
func (v *view) bound(t, now time.Time) {
	switch {
	case t.IsZero():
	case t.After(now):
		if v.until.IsZero() || t.Before(v.until) {
			v.until = t
		}
	case t.After(v.from):
		v.from = t
	}
}

// holds reports whether v is still what the keys do. A clock may also be set back.
func (v *view) holds(now time.Time) bool {
	return !now.Before(v.from) && (v.until.IsZero() || now.Before(v.until))
}
