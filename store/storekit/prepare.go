package storekit

import (
	"fmt"
	"slices"
	"time"

	"wsauth/store"
)

// A Name identifies a revocation in a log. A log has at most one revocation
// with a given target and ID. A Name is comparable.
type Name struct {
	Target store.Target
	ID     string
}

// NameOf returns the name of r.
func NameOf(r store.Revocation) Name { return Name{r.Target, r.ID} }

// Prepare performs the first step of [store.Revocations.Revoke]. It makes
// revocations canonical, merges those with the same name, and drops those that
// are obsolete at the time now. The result is in the order of the first
// revocation with each name. It returns [store.ErrInvalid] if a revocation is
// invalid or if there are more than [store.MaxPage]. The second step is
// [Uncovered].
func Prepare(now time.Time, revocations []store.Revocation) ([]store.Revocation, error) {
	if len(revocations) > store.MaxPage {
		return nil, fmt.Errorf("%w: %d at once", store.ErrInvalid, len(revocations))
	}
	prepared := make([]store.Revocation, 0, len(revocations))
	places := make(map[Name]int, len(revocations))
	for _, r := range revocations {
		r, err := r.Canonical()
		if err != nil {
			return nil, err
		}
		if r.Obsolete(now) {
			continue
		}
		if at, ok := places[NameOf(r)]; ok {
			prepared[at] = prepared[at].Merge(r)
			continue
		}
		places[NameOf(r)] = len(prepared)
		prepared = append(prepared, r)
	}
	return prepared, nil
}

// An EventName identifies an event in a log. A log has at most one event with a
// given kind and ID. An EventName is comparable.
type EventName struct{ Kind, ID string }

// EventNameOf returns the name of e.
func EventNameOf(e store.Event) EventName { return EventName{e.Kind, e.ID} }

// PrepareEvents performs the first step of [store.Log.Publish]. It makes events
// canonical, and drops those that have expired at the time now and those that a
// later one in the list replaces. It returns [store.ErrInvalid] if an event is
// invalid or if there are more than [store.MaxPage].
func PrepareEvents(now time.Time, events []store.Event) ([]store.Event, error) {
	if len(events) > store.MaxPage {
		return nil, fmt.Errorf("%w: %d events at once", store.ErrInvalid, len(events))
	}
	prepared := make([]store.Event, 0, len(events))
	last := make(map[EventName]int, len(events))
	for _, e := range events {
		e, err := e.Canonical()
		if err != nil {
			return nil, err
		}
		if !e.Expired(now) {
			prepared = append(prepared, e)
			last[EventNameOf(e)] = len(prepared)
		}
	}
	kept := prepared[:0]
	for i, e := range prepared {
		if last[EventNameOf(e)] == i+1 {
			kept = append(kept, e)
		}
	}
	return kept, nil
}

// Uncovered performs the second step of [store.Revocations.Revoke]. It removes
// each prepared revocation that is covered by a revocation of
// [store.TargetAll], either by one among them or by held. held is the
// revocation of TargetAll in the log, or the zero Revocation if there is none.
// It modifies the slice in place.
func Uncovered(prepared []store.Revocation, held store.Revocation) []store.Revocation {
	all := held
	for _, r := range prepared {
		if r.Target != store.TargetAll {
			continue
		}
		all = r
		if held.Target == store.TargetAll {
			all = r.Merge(held)
		}
	}
	if all.Target != store.TargetAll {
		return prepared
	}
	return slices.DeleteFunc(prepared, func(r store.Revocation) bool {
		return r.Target != store.TargetAll && all.Covers(r)
	})
}
