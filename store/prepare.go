package store

import (
	"fmt"
	"slices"
	"time"
)

// Prepare is the first step of a store's Revoke: it makes revocations
// canonical, merges those with the same scope and ID and drops those that are
// [Revocation.Gone], in the order in which they first appear. It returns
// [ErrInvalid] if one of them is, or if they are more than [MaxPage]. The
// second step is [Uncovered].
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

// Uncovered removes from prepared revocations those that an [Everything] among
// them or held, that of the log, covers. A log without one has the zero
// Revocation as held. It changes the slice in place.
func Uncovered(prepared []Revocation, held Revocation) []Revocation {
	everything := held
	for _, r := range prepared {
		if r.Scope != Everything {
			continue
		}
		everything = r
		if held.Scope == Everything {
			everything = r.Merge(held)
		}
	}
	if everything.Scope != Everything {
		return prepared
	}
	return slices.DeleteFunc(prepared, func(r Revocation) bool {
		return r.Scope != Everything && everything.Covers(r)
	})
}
