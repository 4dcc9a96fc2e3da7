package store

import (
	"fmt"
	"time"
)

// Prepare is the first step of a store's Revoke: it makes revocations
// canonical, merges those with the same scope and ID and drops those that are
// [Revocation.Gone], in the order in which they first appear. It returns
// [ErrInvalid] if one of them is, or if they are more than [MaxPage].
func Prepare(now time.Time, revocations []Revocation) ([]Revocation, error) {
	if len(revocations) > MaxPage {
		return nil, fmt.Errorf("%w: %d at once", ErrInvalid, len(revocations))
	}
	prepared := make([]Revocation, 0, len(revocations))
	places := make(map[name]int, len(revocations))
	for _, r := range revocations {
		r, err := r.Canonical()
		if err != nil {
			return nil, err
		}
		if r.Gone(now) {
			continue
		}
		if at, ok := places[r.name()]; ok {
			prepared[at] = prepared[at].Merge(r)
			continue
		}
		places[r.name()] = len(prepared)
		prepared = append(prepared, r)
	}
	return prepared, nil
}
