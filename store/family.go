package store

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"time"
	"unicode/utf8"
)

// MaxFamilies is how many families one subject has at most.
const MaxFamilies = 1000

// maxNote is the length in bytes of the longest Remote and Agent.
const maxNote = 256

// A Family is one login: a line of refresh tokens, each of which replaces the
// one before it (RFC 9700 section 4.14.2). Names are 1 to 256 bytes long.
type Family struct {
	ID       string    // the sid of its tokens
	Subject  string    // the sub
	Current  string    // the jti of the refresh token that is good
	Previous string    // the jti that Current replaced; empty in a family that has not rotated yet
	Began    time.Time // the login
	Rotated  time.Time // when Current took its place; the login at first
	Expires  time.Time // when the refresh token Current expires, and the family with it
	Ends     time.Time // when the family ends at the latest, however often it rotates

	// Key is the idempotency key of the rotation that made Current; zero where
	// there was none, and once Current has been presented.
	Key KeyHash

	// Where the family was used last, for its user to recognise. Any text;
	// what is longer than 256 bytes is cut.
	Remote string // an address
	Agent  string // a program
}

// A KeyHash is the SHA-256 of an idempotency key: random text of the client's
// that it sends with each try of one rotation. The zero KeyHash is no key.
type KeyHash [sha256.Size]byte

// HashKey returns the hash of a key. The empty key is none.
func HashKey(key string) KeyHash {
	if key == "" {
		return KeyHash{}
	}
	return sha256.Sum256([]byte(key))
}

// matches reports whether k and other are of the same key.
func (k KeyHash) matches(other KeyHash) bool {
	return k != KeyHash{} && subtle.ConstantTimeCompare(k[:], other[:]) == 1
}

// Expired reports whether the family is no more at a moment.
func (f Family) Expired(now time.Time) bool { return !f.Expires.After(now) }

// Canonical returns f as stores keep it, which == compares: times in UTC and
// whole milliseconds, rounded down, Rotated not missing, Expires not after
// Ends, and notes cut. The error, which is [ErrInvalid], says what is wrong
// with f.
func (f Family) Canonical() (Family, error) {
	for what, name := range map[string]string{"ID": f.ID, "Subject": f.Subject, "Current": f.Current} {
		if name == "" || len(name) > maxID {
			return Family{}, fmt.Errorf("%w: a family with a %s of %d bytes", ErrInvalid, what, len(name))
		}
	}
	if len(f.Previous) > maxID {
		return Family{}, fmt.Errorf("%w: a family with a Previous of %d bytes", ErrInvalid, len(f.Previous))
	}
	if f.Rotated.IsZero() {
		f.Rotated = f.Began
	}
	for what, moment := range map[string]*time.Time{"Began": &f.Began, "Rotated": &f.Rotated, "Expires": &f.Expires, "Ends": &f.Ends} {
		if !representable(moment.UnixMilli()) {
			return Family{}, fmt.Errorf("%w: a family with %s %v", ErrInvalid, what, *moment)
		}
		*moment = wholeMilliseconds(*moment)
	}
	if f.Expires.After(f.Ends) {
		f.Expires = f.Ends
	}
	f.Remote, f.Agent = cut(f.Remote), cut(f.Agent)
	return f, nil
}

// Rotate is the one step of a store's RotateFamily: it says what becomes of f,
// which is canonical as r is. With [ErrReused] it returns f as it is, for the
// store to end; with [ErrNotFound], nothing.
func (f Family) Rotate(r Rotation, now time.Time) (Family, error) {
	if f.Expired(now) {
		return Family{}, ErrNotFound
	}
	switch r.From {
	case f.Current:
		f.Previous, f.Current, f.Key = f.Current, r.To, r.Key
		f.Rotated = wholeMilliseconds(now)
		f.Expires = r.Expires
		if f.Expires.After(f.Ends) {
			f.Expires = f.Ends
		}
	case f.Previous:
		retry := f.Key.matches(r.Key) && r.Retry > 0 && now.Sub(f.Rotated).Abs() <= r.Retry
		if !retry && !f.graced(r.Grace, now) {
			return f, ErrReused
		}
	default:
		return f, ErrReused
	}
	f.Remote, f.Agent = r.Remote, r.Agent
	return f, nil
}

// Present is the one step of a store's PresentFamily: it says what becomes of
// f, which is canonical. With [ErrReused] it returns f as it is, for the store
// to end; with [ErrNotFound], nothing.
func (f Family) Present(p Presentation, now time.Time) (Family, error) {
	if f.Expired(now) {
		return Family{}, ErrNotFound
	}
	switch {
	case p.Token == f.Current:
		f.Key = KeyHash{}
		return f, nil
	case p.Token != "" && p.Token == f.Previous && f.graced(p.Grace, now):
		return f, nil
	}
	return f, ErrReused
}

// ClockStep is how far a server's clock may be set back without its sessions
// being taken for stolen, and without its own tokens being refused because
// they are dated ahead of it.
const ClockStep = 5 * time.Second

// graced reports whether Current took the place of Previous at most grace ago.
// A clock that was set back makes the time negative. Up to [ClockStep] that is
// no time; beyond it nobody knows how long ago it was.
func (f Family) graced(grace time.Duration, now time.Time) bool {
	since := now.Sub(f.Rotated)
	return grace > 0 && since >= -ClockStep && since <= grace
}

// wholeMilliseconds rounds down, to what [time.Time.UnixMilli] tells.
func wholeMilliseconds(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }

// cut shortens a note, between two characters.
func cut(note string) string {
	if len(note) <= maxNote {
		return note
	}
	end := maxNote
	for end > maxNote-utf8.UTFMax && !utf8.RuneStart(note[end]) {
		end--
	}
	return note[:end]
}
