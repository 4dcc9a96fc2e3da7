package store

import (
	"fmt"
	"slices"
	"time"
)

// Prepare is the first step of a store's Revoke. It makes revocations
// canonical, merges those with the same target and ID, and drops those that
// are [Revocation.Gone]. It keeps the order of first appearance. It returns
// [ErrInvalid] if a revocation is invalid or if there are more than [MaxPage].
// The second step is [Uncovered].
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

// Uncovered removes those of the prepared revocations that are covered by a
// revocation of [TargetAll] among them or by held, which is that of the log
// or, if it has none, the zero Revocation. It modifies the slice in place.
func Uncovered(prepared []Revocation, held Revocation) []Revocation {
	everything := held
	for _, r := range prepared {
		if r.Target != TargetAll {
			continue
		}
		everything = r
		if held.Target == TargetAll {
			everything = r.Merge(held)
		}
	}
	if everything.Target != TargetAll {
		return prepared
	}
	return slices.DeleteFunc(prepared, func(r Revocation) bool {
		return r.Target != TargetAll && everything.Covers(r)
	})
}
