package keyring

import (
	"slices"
	"time"

	"wsauth/token"
)

// A view describes the use of a folder's keys between two of their dates.
type view struct {
	entries     []Entry   // newest first
	from, until time.Time // zero: unlimited
	living      []*token.Key
	set         *token.KeySet // the keys in living
	signer      *token.Key    // nil if no key can sign
}

// newView returns the view of entries at the time now. If before has the same
// living keys, its set is reused.
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
		// Cannot happen: read has checked the number of keys and their IDs.
		panic("keyring: " + err.Error())
	}
	v.set = set
	return v
}

// bound limits the validity of v to times on the same side of t as now.
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

// appliesAt reports whether v applies to the time now. The clock may also be
// set back.
func (v *view) appliesAt(now time.Time) bool {
	return !now.Before(v.from) && (v.until.IsZero() || now.Before(v.until))
}
