package keyring

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"wsauth/token"
)

// An Entry is a key of a folder.
type Entry struct {
	Key       *token.Key // always has an ID
	File      string     // name of the file in the folder
	NotBefore time.Time  // when it begins to sign; zero: no limit
	Expires   time.Time  // when it becomes invalid; zero: never
}

// A State says what a key is used for.
type State string

// The states of a key. At most one key of a folder is signing.
const (
	Signing State = "signing" // signs new tokens
	// Next will sign later. It already verifies, because clocks differ.
	Next      State = "next"
	Verifying State = "verifying" // verifies only
	Expired   State = "expired"   // not used
)

func (e Entry) expired(now time.Time) bool { return !e.Expires.IsZero() && !now.Before(e.Expires) }

// Signs reports whether the key may sign at the given time, if no newer one
// does.
func (e Entry) Signs(now time.Time) bool {
	return e.Key.CanSign() && !now.Before(e.NotBefore) && !e.expired(now)
}

// newestFirst orders entries so that the first one that can sign is the signer.
func newestFirst(a, b Entry) int {
	return cmp.Or(b.NotBefore.Compare(a.NotBefore), strings.Compare(b.Key.ID(), a.Key.ID()))
}

// signing returns the index of the entry that signs, or -1. The entries must
// be ordered by newestFirst.
func signing(entries []Entry, now time.Time) int {
	return slices.IndexFunc(entries, func(e Entry) bool { return e.Signs(now) })
}

// signedUntil returns the time until which some entry can sign, from now on and
// without interruption. It returns last if that is earlier.
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

// StateOf returns the state at the given time of the entry with index i.
// entries must be all entries of its folder, as returned by [List].
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
