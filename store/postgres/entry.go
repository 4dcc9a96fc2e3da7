package postgres

import (
	"fmt"
	"time"

	"wsauth/store"
)

// An entry is a row of the table log.
type entry struct {
	position int64
	kind     []byte // empty for a revocation
	target   int16
	id       []byte
	since    int64
	until    int64
	data     []byte
}

// encodeRevocation returns the columns of a canonical revocation.
func encodeRevocation(r store.Revocation) (target int16, id []byte, since, until int64, started *int64) {
	since = int64(r.Generation)
	if !r.Before.IsZero() {
		since = r.Before.UnixMilli()
	}
	switch r.Target {
	case store.TargetSubject, store.TargetSessionless:
		started = &since
	case store.TargetSession, store.TargetOlder:
		if begun, ok := store.SessionStarted(r.ID); ok {
			started = new(begun.UnixMilli())
		}
	}
	return int16(r.Target), []byte(r.ID), since, r.Expires.Add(store.ClockSlack).UnixMilli(), started
}

// revocationColumns returns the arguments of addRevocations, except the last.
func revocationColumns(all []store.Revocation) []any {
	n := len(all)
	targets, ids := make([]int16, n), make([][]byte, n)
	since, until, started := make([]int64, n), make([]int64, n), make([]*int64, n)
	for i, r := range all {
		targets[i], ids[i], since[i], until[i], started[i] = encodeRevocation(r)
	}
	return []any{targets, ids, since, until, started}
}

// eventColumns returns the arguments of addEvents, except the last.
func eventColumns(all []store.Event) []any {
	n := len(all)
	kinds, ids, until, data := make([][]byte, n), make([][]byte, n), make([]int64, n), make([][]byte, n)
	for i, e := range all {
		kinds[i], ids[i], until[i], data[i] = []byte(e.Kind), []byte(e.ID), e.Expires.UnixMilli(), append([]byte{}, e.Data...)
	}
	return []any{kinds, ids, until, data}
}

// addTo decodes e and adds it to a page.
func (e entry) addTo(page *store.Page) error {
	if len(e.kind) > 0 {
		event, err := store.Event{Kind: string(e.kind), ID: string(e.id), Data: e.data, Expires: time.UnixMilli(e.until)}.Canonical()
		if err != nil {
			return fmt.Errorf("the event at position %d is damaged: %v", e.position, err) //nolint:errorlint // no ErrInvalid: the caller is not at fault
		}
		page.Events = append(page.Events, event)
	} else {
		r := store.Revocation{Target: store.Target(e.target), ID: string(e.id), Expires: time.UnixMilli(e.until).Add(-store.ClockSlack)}
		switch {
		case r.Target == store.TargetOlder:
			r.Generation = uint64(e.since)
		case e.since != 0:
			r.Before = time.UnixMilli(e.since)
		}
		r, err := r.Canonical()
		if err != nil || e.target < 0 || e.target > 255 {
			return fmt.Errorf("the revocation at position %d is damaged: %v", e.position, err) //nolint:errorlint // the same
		}
		page.Revocations = append(page.Revocations, r)
	}
	page.Next.Sequence = uint64(e.position)
	return nil
}
