package store

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"time"
	"unicode/utf8"
)

// MaxFamilies is the maximum number of families of one subject.
const MaxFamilies = 1000

// maxNote is the maximum length of Remote and Agent in bytes.
const maxNote = 256

// A Family is a login session with its chain of refresh tokens, each of which
// replaces the previous one (RFC 9700 §4.14.2). Names are 1 to 256 bytes long.
type Family struct {
	ID       string    // sid of its tokens
	Subject  string    // sub of its tokens
	Current  string    // jti of the valid refresh token
	Previous string    // jti that Current replaced, or empty
	Began    time.Time // time of the login
	Rotated  time.Time // time of the last rotation; Began if there was none
	Expires  time.Time // expiry of Current, and so of the family
	Ends     time.Time // Expires can never be later

	// Key is the idempotency key of the last rotation. It is zero if the
	// rotation had none or if Current has been presented since.
	Key KeyHash

	// Where the family was last used, shown to its user. Any text; truncated
	// to 256 bytes.
	Remote string // an address
	Agent  string // a program
}

// A KeyHash is the SHA-256 of an idempotency key: a random text that a client
// sends with each attempt of one rotation. The zero KeyHash means no key.
type KeyHash [sha256.Size]byte

// HashKey returns the hash of key, or the zero KeyHash if key is empty.
func HashKey(key string) KeyHash {
	if key == "" {
		return KeyHash{}
	}
	return sha256.Sum256([]byte(key))
}

// matches reports whether k and other are hashes of the same key.
func (k KeyHash) matches(other KeyHash) bool {
	return k != KeyHash{} && subtle.ConstantTimeCompare(k[:], other[:]) == 1
}

// Expired reports whether the family has expired at the time now.
func (f Family) Expired(now time.Time) bool { return !f.Expires.After(now) }

// Canonical returns f in the form in which stores keep it, comparable with ==:
// times in UTC and rounded down to milliseconds, Rotated set, Expires not
// after Ends, Remote and Agent truncated. It returns an [ErrInvalid] if f is
// not valid.
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

// Rotate implements the decision of [Families.RotateFamily]: it returns f
// after the rotation. f and r must be canonical. With [ErrReused], it returns
// f unchanged, and the store must end it.
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

// Present implements the decision of [Families.PresentFamily]: it returns f
// afterwards. f must be canonical. With [ErrReused], it returns f unchanged,
// and the store must end it.
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

// ClockStep is the tolerance for a server clock that is set back: within it, a
// repeated refresh token is not mistaken for a stolen one, and the server
// accepts its own tokens although they are dated in the future.
const ClockStep = 5 * time.Second

// graced reports whether Current replaced Previous at most grace ago. If the
// clock was set back by up to [ClockStep], the negative duration counts as
// zero; if by more, the duration is unknown and graced returns false.
func (f Family) graced(grace time.Duration, now time.Time) bool {
	since := now.Sub(f.Rotated)
	return grace > 0 && since >= -ClockStep && since <= grace
}

// wholeMilliseconds rounds t down as [time.Time.UnixMilli] does.
func wholeMilliseconds(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }

// cut truncates a note at a character boundary.
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
