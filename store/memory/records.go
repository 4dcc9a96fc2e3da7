package memory

import (
	"bytes"
	"context"
	"sync"

	"wsauth/store"
)

// records implements [store.Records].
type records struct {
	mu     sync.Mutex
	byName map[string]store.Record
}

func newRecords() records { return records{byName: map[string]store.Record{}} }

// ReadRecord implements [store.Records].
func (s *records) ReadRecord(ctx context.Context, name string) (store.Record, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.byName[name]
	if !ok {
		return store.Record{}, store.ErrNotFound
	}
	r.Value = bytes.Clone(r.Value)
	return r, nil
}

// WriteRecord implements [store.Records].
func (s *records) WriteRecord(ctx context.Context, name string, r store.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.Check(name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Version != s.byName[name].Version+1 {
		return store.ErrConflict
	}
	r.Value = bytes.Clone(r.Value)
	s.byName[name] = r
	return nil
}
