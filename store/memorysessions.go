package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// memorySessions implements [Sessions] in memory.
type memorySessions struct {
	sessionLimit int

	sessionMu sync.Mutex
	sessions  shelf[string, Session]         // by ID
	subjects  map[string]map[string]struct{} // IDs by subject
}

func newMemorySessions(limit int) memorySessions {
	return memorySessions{
		sessionLimit: limit,
		sessions:     newShelf[string, Session](),
		subjects:     map[string]map[string]struct{}{},
	}
}

// BeginSession implements [Sessions].
func (m *memorySessions) BeginSession(ctx context.Context, s Session) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s, err := s.Canonical()
	if err != nil {
		return err
	}
	m.sessionMu.Lock()
	defer m.sessionMu.Unlock()
	now := time.Now()
	m.sweepSessions(now)
	if _, ok := m.sessions.get(s.ID); ok {
		return fmt.Errorf("%w: a session that is there already", ErrInvalid)
	}
	if s.Expired(now) {
		return nil
	}
	if len(m.sessions.items) >= m.sessionLimit || len(m.subjects[s.Subject]) >= MaxSubjectSessions {
		return ErrFull
	}
	if m.subjects[s.Subject] == nil {
		m.subjects[s.Subject] = map[string]struct{}{}
	}
	m.subjects[s.Subject][s.ID] = struct{}{}
	m.sessions.put(s.ID, s, s.Expires)
	return nil
}

// RotateSession implements [Sessions].
func (m *memorySessions) RotateSession(ctx context.Context, r Rotation) (Session, error) {
	if err := ctx.Err(); err != nil {
		return Session{}, err
	}
	r, err := r.Canonical()
	if err != nil {
		return Session{}, err
	}
	m.sessionMu.Lock()
	defer m.sessionMu.Unlock()
	now := time.Now()
	m.sweepSessions(now)
	s, ok := m.sessions.get(r.ID)
	if !ok {
		return Session{}, ErrNotFound
	}
	s, err = s.Rotate(r, now)
	m.became(s, err)
	return s, err
}

// PresentSession implements [Sessions].
func (m *memorySessions) PresentSession(ctx context.Context, p Presentation) (Session, error) {
	if err := ctx.Err(); err != nil {
		return Session{}, err
	}
	m.sessionMu.Lock()
	defer m.sessionMu.Unlock()
	now := time.Now()
	m.sweepSessions(now)
	s, ok := m.sessions.get(p.ID)
	if !ok {
		return Session{}, ErrNotFound
	}
	s, err := s.Present(p, now)
	m.became(s, err)
	return s, err
}

// became stores the result of Rotate or Present, or removes the session if its
// token was reused.
func (m *memorySessions) became(s Session, err error) {
	switch {
	case err == nil:
		m.sessions.put(s.ID, s, s.Expires)
	case errors.Is(err, ErrReused):
		m.remove(s)
	}
}

// EndSession implements [Sessions].
func (m *memorySessions) EndSession(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.sessionMu.Lock()
	defer m.sessionMu.Unlock()
	if s, ok := m.sessions.get(id); ok {
		m.remove(s)
	}
	return nil
}

// ListSessions implements [Sessions].
func (m *memorySessions) ListSessions(ctx context.Context, subject string) ([]Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.sessionMu.Lock()
	defer m.sessionMu.Unlock()
	m.sweepSessions(time.Now())
	var all []Session
	for id := range m.subjects[subject] {
		s, _ := m.sessions.get(id)
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Session) int {
		return cmp.Or(a.Began.Compare(b.Began), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

func (m *memorySessions) remove(s Session) {
	m.sessions.remove(s.ID)
	m.forget(s)
}

// forget removes a session from the index by subject.
func (m *memorySessions) forget(s Session) {
	delete(m.subjects[s.Subject], s.ID)
	if len(m.subjects[s.Subject]) == 0 {
		delete(m.subjects, s.Subject)
	}
}

func (m *memorySessions) sweepSessions(now time.Time) {
	for s, ok := m.sessions.due(now); ok; s, ok = m.sessions.due(now) {
		m.forget(s)
	}
}
