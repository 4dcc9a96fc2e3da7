package keyring

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"wsauth/token"
)

// An Entry is one key of a folder.
type Entry struct {
	Key       *token.Key // with an ID, always
	File      string     // its name in the folder
	NotBefore time.Time  // when it begins to sign; zero: it always has
	Expires   time.Time  // when it stops to count; zero: never
}

// A State says what a key does.
type State string

// The states of a key. At most one key of a folder is signing.
const (
	Signing   State = "signing"   // the one that signs
	Next      State = "next"      // will be able to sign; its tokens count already, for the clocks of others
	Verifying State = "verifying" // its tokens count
	Expired   State = "expired"   // nothing of it counts
)

func (e Entry) expired(now time.Time) bool { return !e.Expires.IsZero() && !now.Before(e.Expires) }

func (e Entry) signs(now time.Time) bool {
	return e.Key.CanSign() && !now.Before(e.NotBefore) && !e.expired(now)
}

// newestFirst orders entries so that the first of those that can sign does.
func newestFirst(a, b Entry) int {
	return cmp.Or(b.NotBefore.Compare(a.NotBefore), strings.Compare(b.Key.ID(), a.Key.ID()))
}

// signing is the index of the entry that signs, or -1. They are ordered.
func signing(entries []Entry, now time.Time) int {
	return slices.IndexFunc(entries, func(e Entry) bool { return e.signs(now) })
}

// signedUntil is the moment from now on, at most the last, until which there is always an entry that signs.
func signedUntil(entries []Entry, now, last time.Time) time.Time {
	for now.Before(last) {
		i := signing(entries, now)
		switch {
		case i < 0:
			return now
		case entries[i].Expires.IsZero():
			return last
		}
		now = entries[i].Expires
	}
	return last
}

// StateOf says what the entry at index i does at a moment, among all entries of its folder as [List] returns them.
func StateOf(entries []Entry, i int, now time.Time) State {
	e := entries[i]
	switch {
	case e.expired(now):
		return Expired
	case i == signing(entries, now):
		return Signing
	case e.Key.CanSign() && now.Before(e.NotBefore):
		return Next
	}
	return Verifying
}
