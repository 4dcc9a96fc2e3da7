package bolt

import (
	"context"
	"errors"
	"time"

	"wsauth/store"
)

// BeginSession implements [store.Sessions]. It returns nil after the session
// has been synced to disk.
func (s *Store) BeginSession(ctx context.Context, session store.Session) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	session, err := session.Canonical()
	if err != nil {
		return err
	}
	return s.writer.write(ctx, func(t *transaction) error {
		return t.sessions.begin(session, time.Now(), s.limits.Sessions)
	})
}

// RotateSession implements [store.Sessions]. It returns a result or
// [store.ErrReused] after the change has been synced to disk.
func (s *Store) RotateSession(ctx context.Context, r store.Rotation) (store.Session, error) {
	r, err := r.Canonical()
	if err != nil {
		return store.Session{}, err
	}
	return s.changeSession(ctx, r.Subject, r.ID, true, func(old store.Session, now time.Time) (store.Session, error) { return old.Rotate(r, now) })
}

// PresentSession implements [store.Sessions]. If the session changes, it
// returns after the change has been synced to disk. Otherwise it writes
// nothing.
func (s *Store) PresentSession(ctx context.Context, p store.Presentation) (store.Session, error) {
	return s.changeSession(ctx, p.Subject, p.ID, false, func(old store.Session, now time.Time) (store.Session, error) { return old.Present(p, now) })
}

// changeSession replaces a session of a subject with the result of next, and
// returns the result. If the refresh token was reused, it removes the session.
//
// It first calls next in a read transaction, because a call for a session that
// does not exist must not cost a sync. If always is set, any other result is
// synced, even if nothing changes: it may be a repeated rotation whose first
// attempt has not been synced yet.
func (s *Store) changeSession(ctx context.Context, subject, id string, always bool, next nextSession) (store.Session, error) {
	if err := ctx.Err(); err != nil {
		return store.Session{}, err
	}
	var session store.Session
	writes := false
	err := s.db.view(func(tx *checkedTx) error {
		old, err := openSessions(tx).find(subject, id)
		if err == nil {
			session, err = next(old, time.Now())
		}
		writes = errors.Is(err, store.ErrReused) || err == nil && (always || session != old)
		return err
	})
	if !writes {
		return session, wrap(err)
	}
	err = s.writer.write(ctx, func(t *transaction) (err error) {
		session, err = t.sessions.change(subject, id, next, time.Now())
		return err
	})
	if err != nil && !errors.Is(err, store.ErrReused) {
		return store.Session{}, err
	}
	return session, err
}

// EndSession implements [store.Sessions]. It returns nil after the end of the
// session has been synced to disk, even if another call has ended the session.
func (s *Store) EndSession(ctx context.Context, subject, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.writer.write(ctx, func(t *transaction) error { return t.sessions.end(subject, id) })
}

// FindSession implements [store.Sessions].
func (s *Store) FindSession(ctx context.Context, subject, id string) (session store.Session, err error) {
	if err := ctx.Err(); err != nil {
		return store.Session{}, err
	}
	err = s.db.view(func(tx *checkedTx) (err error) {
		session, err = openSessions(tx).find(subject, id)
		return err
	})
	if err == nil && session.Expired(time.Now()) {
		return store.Session{}, store.ErrNotFound
	}
	return session, wrap(err)
}

// ListSessions implements [store.Sessions].
func (s *Store) ListSessions(ctx context.Context, subject string) (all []store.Session, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.db.view(func(tx *checkedTx) (err error) {
		all, err = openSessions(tx).list(subject, time.Now())
		return err
	})
	return all, wrap(err)
}
