package store

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
	"unicode/utf8"
)

// MaxSubjectSessions is the maximum number of sessions of one subject.
const MaxSubjectSessions = 1000

// maxGeneration is the maximum of Session.Generation. JSON numbers up to it are
// exact.
const maxGeneration = 1<<53 - 1

// maxNote is the maximum length of Session.Remote and Session.Agent in bytes.
const maxNote = 256

// A Session is a login session with its chain of refresh tokens, each of which
// replaces the previous one (RFC 9700 §4.14.2). Each ID, subject and jti is 1
// to 256 bytes long.
type Session struct {
	ID       string    // sid of its tokens
	Subject  string    // sub of its tokens
	Parent   string    // ID of the session that this one belongs to, or empty
	Current  string    // jti of the valid refresh token
	Previous string    // jti that Current replaced, or empty
	Started  time.Time // time of the login
	Rotated  time.Time // time of the last rotation; Started if there was none
	Expires  time.Time // expiry of Current, and so of the session
	Ends     time.Time // end of the session; Expires is never later

	// Generation is the number of rotations. The tokens of the session contain
	// it, so that the newer of two tokens is known without comparing clocks.
	Generation uint64

	// Key is the idempotency key of the last rotation. It is zero if the
	// rotation had none or if Current has been presented since.
	Key KeyHash

	// Where the session was last used, for display to its user. Each may be any
	// text, and is truncated to 256 bytes.
	Remote string // an address
	Agent  string // a program
}

// A KeyHash is the SHA-256 of an idempotency key: a random text that a client
// sends with each attempt at the same rotation. The zero KeyHash means no key.
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

// Expired reports whether the session has expired at the time now.
func (s Session) Expired(now time.Time) bool { return !s.Expires.After(now) }

// Canonical returns s in the form in which stores keep it, comparable with ==.
// Times are in UTC and rounded down to milliseconds, Rotated is set, Expires is
// not after Ends, and Remote and Agent are truncated. It returns an
// [ErrInvalid] if s is not valid.
func (s Session) Canonical() (Session, error) {
	for what, name := range map[string]string{"ID": s.ID, "Subject": s.Subject, "Current": s.Current} {
		if name == "" || len(name) > maxID {
			return Session{}, fmt.Errorf("%w: a session with a %s of %d bytes", ErrInvalid, what, len(name))
		}
	}
	for what, name := range map[string]string{"Parent": s.Parent, "Previous": s.Previous} {
		if len(name) > maxID {
			return Session{}, fmt.Errorf("%w: a session with a %s of %d bytes", ErrInvalid, what, len(name))
		}
	}
	if s.Generation > maxGeneration {
		return Session{}, fmt.Errorf("%w: a session with the Generation %d", ErrInvalid, s.Generation)
	}
	if s.Rotated.IsZero() {
		s.Rotated = s.Started
	}
	for what, moment := range map[string]*time.Time{"Started": &s.Started, "Rotated": &s.Rotated, "Expires": &s.Expires, "Ends": &s.Ends} {
		if !representable(moment.UnixMilli()) {
			return Session{}, fmt.Errorf("%w: a session with %s %v", ErrInvalid, what, *moment)
		}
		*moment = wholeMilliseconds(*moment)
	}
	if s.Expires.After(s.Ends) {
		s.Expires = s.Ends
	}
	s.Remote, s.Agent = cut(s.Remote), cut(s.Agent)
	return s, nil
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

// NewSessionID returns an ID for a session that starts at the given time, which
// should be that of the [Clock] of the store. The ID is a UUIDv7 (RFC 9562
// §5.7), which contains the time in milliseconds and 74 random bits. So the sid
// of a token contains the start of its session; see [SessionStarted].
func NewSessionID(started time.Time) string {
	var id [16]byte
	_, _ = rand.Read(id[6:]) // never fails
	moment := uint64(started.UnixMilli())
	binary.BigEndian.PutUint32(id[0:], uint32(moment>>16))
	binary.BigEndian.PutUint16(id[4:], uint16(moment))
	id[6] = 7<<4 | id[6]&0x0f // version
	id[8] = 2<<6 | id[8]&0x3f // variant

	text := make([]byte, 0, 36)
	for i, part := range [][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			text = append(text, '-')
		}
		text = hex.AppendEncode(text, part)
	}
	return string(text)
}

// SessionStarted returns the time at which a session started, if its ID is a
// UUIDv7, in upper or lower case. It returns false for any other ID.
func SessionStarted(sid string) (time.Time, bool) {
	if len(sid) != 36 || sid[8] != '-' || sid[13] != '-' || sid[18] != '-' || sid[23] != '-' {
		return time.Time{}, false
	}
	var digits [32]byte
	var id [16]byte
	plain := append(digits[:0], sid[:8]...)
	plain = append(plain, sid[9:13]...)
	plain = append(plain, sid[14:18]...)
	plain = append(plain, sid[19:23]...)
	plain = append(plain, sid[24:]...)
	if _, err := hex.Decode(id[:], plain); err != nil {
		return time.Time{}, false
	}
	if id[6]>>4 != 7 || id[8]>>6 != 2 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:]) >> 16)), true
}
