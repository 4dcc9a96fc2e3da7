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

// memoryFamilies implements [Families] in memory.
type memoryFamilies struct {
	familyLimit int

	familyMu sync.Mutex
	families shelf[string, Family]          // by ID
	subjects map[string]map[string]struct{} // IDs by subject
}

func newMemoryFamilies(limit int) memoryFamilies {
	return memoryFamilies{
		familyLimit: limit,
		families:    newShelf[string, Family](),
		subjects:    map[string]map[string]struct{}{},
	}
}

// BeginFamily implements [Families].
func (m *memoryFamilies) BeginFamily(ctx context.Context, f Family) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := f.Canonical()
	if err != nil {
		return err
	}
	m.familyMu.Lock()
	defer m.familyMu.Unlock()
	now := time.Now()
	m.sweepFamilies(now)
	if _, ok := m.families.get(f.ID); ok {
		return fmt.Errorf("%w: a family that is there already", ErrInvalid)
	}
	if f.Expired(now) {
		return nil
	}
	if len(m.families.items) >= m.familyLimit || len(m.subjects[f.Subject]) >= MaxFamilies {
		return ErrFull
	}
	if m.subjects[f.Subject] == nil {
		m.subjects[f.Subject] = map[string]struct{}{}
	}
	m.subjects[f.Subject][f.ID] = struct{}{}
	m.families.put(f.ID, f, f.Expires)
	return nil
}

// RotateFamily implements [Families].
func (m *memoryFamilies) RotateFamily(ctx context.Context, r Rotation) (Family, error) {
	if err := ctx.Err(); err != nil {
		return Family{}, err
	}
	r, err := r.Canonical()
	if err != nil {
		return Family{}, err
	}
	m.familyMu.Lock()
	defer m.familyMu.Unlock()
	now := time.Now()
	m.sweepFamilies(now)
	f, ok := m.families.get(r.ID)
	if !ok {
		return Family{}, ErrNotFound
	}
	f, err = f.Rotate(r, now)
	m.became(f, err)
	return f, err
}

// PresentFamily implements [Families].
func (m *memoryFamilies) PresentFamily(ctx context.Context, p Presentation) (Family, error) {
	if err := ctx.Err(); err != nil {
		return Family{}, err
	}
	m.familyMu.Lock()
	defer m.familyMu.Unlock()
	now := time.Now()
	m.sweepFamilies(now)
	f, ok := m.families.get(p.ID)
	if !ok {
		return Family{}, ErrNotFound
	}
	f, err := f.Present(p, now)
	m.became(f, err)
	return f, err
}

// became stores the result of Rotate or Present, or removes the family if its
// token was reused.
func (m *memoryFamilies) became(f Family, err error) {
	switch {
	case err == nil:
		m.families.put(f.ID, f, f.Expires)
	case errors.Is(err, ErrReused):
		m.remove(f)
	}
}

// EndFamily implements [Families].
func (m *memoryFamilies) EndFamily(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.familyMu.Lock()
	defer m.familyMu.Unlock()
	if f, ok := m.families.get(id); ok {
		m.remove(f)
	}
	return nil
}

// ListFamilies implements [Families].
func (m *memoryFamilies) ListFamilies(ctx context.Context, subject string) ([]Family, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.familyMu.Lock()
	defer m.familyMu.Unlock()
	m.sweepFamilies(time.Now())
	var all []Family
	for id := range m.subjects[subject] {
		f, _ := m.families.get(id)
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b Family) int {
		return cmp.Or(a.Began.Compare(b.Began), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

func (m *memoryFamilies) remove(f Family) {
	m.families.remove(f.ID)
	m.forget(f)
}

// forget removes a family from the index by subject.
func (m *memoryFamilies) forget(f Family) {
	delete(m.subjects[f.Subject], f.ID)
	if len(m.subjects[f.Subject]) == 0 {
		delete(m.subjects, f.Subject)
	}
}

func (m *memoryFamilies) sweepFamilies(now time.Time) {
	for f, ok := m.families.due(now); ok; f, ok = m.families.due(now) {
		m.forget(f)
	}
}
