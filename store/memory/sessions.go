package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"wsauth/store"
)

// sessions implements [store.Sessions].
type sessions struct {
	limit int

	mu        sync.Mutex
	byID      expiringMap[string, store.Session]
	bySubject map[string]map[string]struct{} // IDs
}

func newSessions(limit int) sessions {
	return sessions{
		limit:     limit,
		byID:      newExpiringMap[string, store.Session](),
		bySubject: map[string]map[string]struct{}{},
	}
}

// BeginSession implements [store.Sessions].
func (s *sessions) BeginSession(ctx context.Context, session store.Session) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	session, err := session.Canonical()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.sweep(now)
	if _, ok := s.byID.get(session.ID); ok {
		return fmt.Errorf("%w: the session exists", store.ErrInvalid)
	}
	if session.Expired(now) {
		return nil
	}
	ids := s.bySubject[session.Subject]
	if s.byID.len() >= s.limit || len(ids) >= store.MaxSubjectSessions {
		return store.ErrFull
	}
	if ids == nil {
		ids = map[string]struct{}{}
		s.bySubject[session.Subject] = ids
	}
	ids[session.ID] = struct{}{}
	s.byID.put(session.ID, session, session.Expires)
	return nil
}

// RotateSession implements [store.Sessions].
func (s *sessions) RotateSession(ctx context.Context, r store.Rotation) (store.Session, error) {
	r, err := r.Canonical()
	if err != nil {
		return store.Session{}, err
	}
	return s.change(ctx, r.Subject, r.ID, func(old store.Session, now time.Time) (store.Session, error) { return old.Rotate(r, now) })
}

// PresentSession implements [store.Sessions].
func (s *sessions) PresentSession(ctx context.Context, p store.Presentation) (store.Session, error) {
	return s.change(ctx, p.Subject, p.ID, func(old store.Session, now time.Time) (store.Session, error) { return old.Present(p, now) })
}

// change replaces a session of a subject with the result of next, and returns
// the result. If the refresh token was reused, it removes the session.
func (s *sessions) change(ctx context.Context, subject, id string, next func(old store.Session, now time.Time) (store.Session, error)) (store.Session, error) {
	if err := ctx.Err(); err != nil {
		return store.Session{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.sweep(now)
	session, err := s.find(subject, id)
	if err != nil {
		return store.Session{}, err
	}
	session, err = next(session, now)
	switch {
	case err == nil:
		s.byID.put(id, session, session.Expires)
	case errors.Is(err, store.ErrReused):
		s.remove(session)
	}
	return session, err
}

// EndSession implements [store.Sessions].
func (s *sessions) EndSession(ctx context.Context, subject, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if session, err := s.find(subject, id); err == nil {
		s.remove(session)
	}
	return nil
}

// FindSession implements [store.Sessions].
func (s *sessions) FindSession(ctx context.Context, subject, id string) (store.Session, error) {
	if err := ctx.Err(); err != nil {
		return store.Session{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(time.Now())
	return s.find(subject, id)
}

// find returns a session of a subject, or [store.ErrNotFound]. s.mu must be
// held.
func (s *sessions) find(subject, id string) (store.Session, error) {
	session, ok := s.byID.get(id)
	if !ok || session.Subject != subject {
		return store.Session{}, store.ErrNotFound
	}
	return session, nil
}

// ListSessions implements [store.Sessions].
func (s *sessions) ListSessions(ctx context.Context, subject string) ([]store.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(time.Now())
	var all []store.Session
	for id := range s.bySubject[subject] {
		session, _ := s.byID.get(id)
		all = append(all, session)
	}
	slices.SortFunc(all, func(a, b store.Session) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// remove removes a session. s.mu must be held.
func (s *sessions) remove(session store.Session) {
	s.byID.remove(session.ID)
	s.forget(session)
}

// sweep removes the sessions that have expired. s.mu must be held.
func (s *sessions) sweep(now time.Time) {
	for session := range s.byID.due(now) {
		s.forget(session)
	}
}

// forget removes a session from bySubject. s.mu must be held.
func (s *sessions) forget(session store.Session) {
	ids := s.bySubject[session.Subject]
	delete(ids, session.ID)
	if len(ids) == 0 {
		delete(s.bySubject, session.Subject)
	}
}
