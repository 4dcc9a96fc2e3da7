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
	return s.write(ctx, func(t *transaction) error {
		return t.sessions.begin(session, time.Now(), s.limits.Sessions)
	})
}

// RotateSession implements [store.Sessions]. It returns, also with
// [store.ErrReused], after the change has been synced to disk.
func (s *Store) RotateSession(ctx context.Context, r store.Rotation) (store.Session, error) {
	if err := ctx.Err(); err != nil {
		return store.Session{}, err
	}
	r, err := r.Canonical()
	if err != nil {
		return store.Session{}, err
	}
	// A session that does not exist must not cost a sync.
	err = s.view(func(tx *checkedTx) error {
		session, err := openSessions(tx).get([]byte(r.ID))
		if err == nil && session.Expired(time.Now()) {
			return store.ErrNotFound
		}
		return err
	})
	if err != nil {
		return store.Session{}, wrap(err)
	}
	var rotated store.Session
	err = s.write(ctx, func(t *transaction) (err error) {
		rotated, err = t.sessions.rotate(r, time.Now())
		return err
	})
	if err != nil && !errors.Is(err, store.ErrReused) {
		return store.Session{}, err
	}
	return rotated, err
}

// PresentSession implements [store.Sessions]. It writes only if the session
// changes; then it returns after the change has been synced to disk.
func (s *Store) PresentSession(ctx context.Context, p store.Presentation) (store.Session, error) {
	if err := ctx.Err(); err != nil {
		return store.Session{}, err
	}
	var session store.Session
	var changes bool
	err := s.view(func(tx *checkedTx) error {
		old, err := openSessions(tx).get([]byte(p.ID))
		if err == nil {
			session, err = old.Present(p, time.Now())
		}
		changes = errors.Is(err, store.ErrReused) || err == nil && session != old
		return err
	})
	if !changes {
		return session, wrap(err)
	}
	err = s.write(ctx, func(t *transaction) (err error) {
		session, err = t.sessions.present(p, time.Now())
		return err
	})
	if err != nil && !errors.Is(err, store.ErrReused) {
		return store.Session{}, err
	}
	return session, err
}

// EndSession implements [store.Sessions]. It returns nil after the end has
// been synced to disk, even if another call has ended the session.
func (s *Store) EndSession(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.write(ctx, func(t *transaction) error { return t.sessions.end(id) })
}

// ListSessions implements [store.Sessions].
func (s *Store) ListSessions(ctx context.Context, subject string) (all []store.Session, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.view(func(tx *checkedTx) (err error) {
		all, err = openSessions(tx).list(subject, time.Now())
		return err
	})
	return all, wrap(err)
}
