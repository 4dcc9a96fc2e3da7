package bolt

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"wsauth/store"
	"wsauth/store/storekit"
)

// sessionTable accesses the sessions within one transaction.
type sessionTable struct {
	sessions, expiry, subjects *table
	count                      counter
}

func openSessions(tx *checkedTx) *sessionTable {
	return &sessionTable{
		sessions: openTable(tx, sessionsBucket),
		expiry:   openTable(tx, sessionExpiryBucket),
		subjects: openTable(tx, sessionSubjectBucket),
		count:    openCounter(tx, sessionCountKey),
	}
}

// begin adds a session, which must be canonical.
func (t *sessionTable) begin(s store.Session, now time.Time, limit int) error {
	switch old, err := t.get([]byte(s.ID)); {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return err
	case !old.Expired(now):
		return fmt.Errorf("%w: the session exists", store.ErrInvalid)
	default: // expired, but not swept yet
		if err := t.remove(old); err != nil {
			return err
		}
	}
	if s.Expired(now) {
		return nil
	}
	if err := t.count.makeRoom(limit, now, t.sweep); err != nil {
		return err
	}
	if full, err := t.full(s.Subject, now); err != nil || full {
		return cmp.Or(err, store.ErrFull)
	}
	t.count.n++
	return errors.Join(t.put(s), t.subjects.put(subjectKey(s), nil))
}

// nextSession is [store.Session.Rotate] or [store.Session.Present].
type nextSession func(old store.Session, now time.Time) (store.Session, error)

// change replaces a session of a subject with the result of next, and returns
// the result. If the refresh token was reused, it removes the session.
func (t *sessionTable) change(subject, id string, next nextSession, now time.Time) (store.Session, error) {
	old, err := t.find(subject, id)
	if err != nil {
		return store.Session{}, err
	}
	s, err := next(old, now)
	switch {
	case errors.Is(err, store.ErrReused):
		if failed := t.remove(old); failed != nil {
			return store.Session{}, failed
		}
		return s, err
	case err != nil || s == old:
		return s, err
	}
	if err := t.expiry.delete(expiryKey(old.Expires, []byte(old.ID))); err != nil {
		return store.Session{}, err
	}
	return s, t.put(s)
}

// end removes a session of a subject, if it exists.
func (t *sessionTable) end(subject, id string) error {
	s, err := t.find(subject, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return t.remove(s)
}

// full reports whether a subject has reached its limit of sessions. It counts
// the index entries. Only if these reach the limit does it read the sessions,
// since some may have expired but not been swept.
func (t *sessionTable) full(subject string, now time.Time) (bool, error) {
	n := 0
	prefix := subjectPrefix(subject)
	c := t.subjects.cursor()
	for key, _ := c.seek(prefix); bytes.HasPrefix(key, prefix); key, _ = c.next() {
		n++
	}
	if n < store.MaxSubjectSessions {
		return false, nil
	}
	all, err := t.list(subject, now)
	return len(all) >= store.MaxSubjectSessions, err
}

// list returns the sessions of a subject, oldest first.
func (t *sessionTable) list(subject string, now time.Time) ([]store.Session, error) {
	var all []store.Session
	prefix := subjectPrefix(subject)
	c := t.subjects.cursor()
	for key, _ := c.seek(prefix); bytes.HasPrefix(key, prefix); key, _ = c.next() {
		s, err := t.get(key[len(prefix)+8:])
		if err != nil {
			return nil, damaged("a subject's session: %v", err)
		}
		if !s.Expired(now) {
			all = append(all, s)
		}
	}
	return all, nil
}

// get returns a session, which may have expired.
func (t *sessionTable) get(id []byte) (store.Session, error) {
	data := t.sessions.get(id)
	if data == nil {
		return store.Session{}, store.ErrNotFound
	}
	s, err := storekit.DecodeSession(data)
	if err != nil {
		return store.Session{}, damaged("a session: %v", err)
	}
	return s, nil
}

// find returns a session of a subject, which may have expired.
func (t *sessionTable) find(subject, id string) (store.Session, error) {
	s, err := t.get([]byte(id))
	if err == nil && s.Subject != subject {
		return store.Session{}, store.ErrNotFound
	}
	return s, err
}

// put writes a session and its entry in the index by expiry.
func (t *sessionTable) put(s store.Session) error {
	return errors.Join(
		t.sessions.put([]byte(s.ID), storekit.AppendSession(nil, s)),
		t.expiry.put(expiryKey(s.Expires, []byte(s.ID)), nil),
	)
}

func (t *sessionTable) remove(s store.Session) error {
	t.count.n--
	return errors.Join(
		t.sessions.delete([]byte(s.ID)),
		t.expiry.delete(expiryKey(s.Expires, []byte(s.ID))),
		t.subjects.delete(subjectKey(s)),
	)
}

// due reports whether any session has expired.
func (t *sessionTable) due(now time.Time) bool { return len(firstDue(t.expiry, now, 1)) > 0 }

// sweep deletes up to limit sessions that have expired.
func (t *sessionTable) sweep(now time.Time, limit int) error {
	for _, id := range firstDue(t.expiry, now, limit) {
		s, err := t.get(id)
		if err != nil {
			return damaged("a session that expires: %v", err)
		}
		if err := t.remove(s); err != nil {
			return err
		}
	}
	return nil
}

// subjectPrefix returns the common prefix of the keys of a subject's sessions.
func subjectPrefix(subject string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(subject))), subject...)
}

// subjectKey returns the key of a session in the index by subject. The keys
// sort the sessions of a subject by their start.
func subjectKey(s store.Session) []byte {
	key := binary.BigEndian.AppendUint64(subjectPrefix(s.Subject), uint64(s.Started.UnixMilli()))
	return append(key, s.ID...)
}
