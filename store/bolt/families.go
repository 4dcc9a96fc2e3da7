package bolt

import (
	"context"
	"errors"
	"time"

	"wsauth/store"
)

// BeginFamily implements [store.Families]. It returns nil after the family has
// been synced to disk.
func (s *Store) BeginFamily(ctx context.Context, f store.Family) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := f.Canonical()
	if err != nil {
		return err
	}
	return s.write(ctx, func(t *transaction) error {
		return t.families.begin(f, time.Now(), s.limits.Families)
	})
}

// RotateFamily implements [store.Families]. It returns, also with
// [store.ErrReused], after the change has been synced to disk.
func (s *Store) RotateFamily(ctx context.Context, r store.Rotation) (store.Family, error) {
	if err := ctx.Err(); err != nil {
		return store.Family{}, err
	}
	r, err := r.Canonical()
	if err != nil {
		return store.Family{}, err
	}
	// A family that does not exist must not cost a sync.
	err = s.view(func(tx *checkedTx) error {
		f, err := openFamilies(tx).get([]byte(r.ID))
		if err == nil && f.Expired(time.Now()) {
			return store.ErrNotFound
		}
		return err
	})
	if err != nil {
		return store.Family{}, wrap(err)
	}
	var rotated store.Family
	err = s.write(ctx, func(t *transaction) (err error) {
		rotated, err = t.families.rotate(r, time.Now())
		return err
	})
	if err != nil && !errors.Is(err, store.ErrReused) {
		return store.Family{}, err
	}
	return rotated, err
}

// PresentFamily implements [store.Families]. It writes only if the family
// changes; then it returns after the change has been synced to disk.
func (s *Store) PresentFamily(ctx context.Context, p store.Presentation) (store.Family, error) {
	if err := ctx.Err(); err != nil {
		return store.Family{}, err
	}
	var f store.Family
	var changes bool
	err := s.view(func(tx *checkedTx) error {
		old, err := openFamilies(tx).get([]byte(p.ID))
		if err == nil {
			f, err = old.Present(p, time.Now())
		}
		changes = errors.Is(err, store.ErrReused) || err == nil && f != old
		return err
	})
	if !changes {
		return f, wrap(err)
	}
	err = s.write(ctx, func(t *transaction) (err error) {
		f, err = t.families.present(p, time.Now())
		return err
	})
	if err != nil && !errors.Is(err, store.ErrReused) {
		return store.Family{}, err
	}
	return f, err
}

// EndFamily implements [store.Families]. It returns nil after the end has been
// synced to disk, even if another call has ended the family.
func (s *Store) EndFamily(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.write(ctx, func(t *transaction) error { return t.families.end(id) })
}

// ListFamilies implements [store.Families].
func (s *Store) ListFamilies(ctx context.Context, subject string) (all []store.Family, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.view(func(tx *checkedTx) (err error) {
		all, err = openFamilies(tx).list(subject, time.Now())
		return err
	})
	return all, wrap(err)
}
