package revindex

import (
	"context"
	"errors"
	"hash/maphash"
	"time"

	"wsauth/store"
	"wsauth/store/storekit"
)

// A restoration is the state of an index that completes a log after it was
// replaced, for example by a replica that lacked its last entries. The index
// reads the log from the start, and adds the revocations that the log lacks.
type restoration struct {
	seed  maphash.Seed
	found map[uint64]struct{} // hashes of the revocations in the new log
}

func newRestoration() *restoration {
	return &restoration{seed: maphash.MakeSeed(), found: map[uint64]struct{}{}}
}

// hash returns the hash of a revocation with all its fields.
func (s *restoration) hash(r store.Revocation) uint64 {
	var room [300]byte
	return maphash.Bytes(s.seed, storekit.AppendRevocation(room[:0], r))
}

// note records revocations that the log has.
func (s *restoration) note(revocations []store.Revocation) {
	for _, r := range revocations {
		s.found[s.hash(r)] = struct{}{}
	}
}

// restore adds to the log, page by page, the revocations that the index has and
// the log lacks. The index holds those that the log refuses until the log has
// room. If restore fails, it can be called again.
func (x *Index) restore(ctx context.Context) error {
	now := x.config.Now()
	written, held := 0, 0
	add := func(revocations []store.Revocation) error {
		isHeld, err := x.writeBack(ctx, revocations)
		if isHeld {
			held += len(revocations)
		} else if err == nil {
			written += len(revocations)
		}
		return err
	}
	all, ok := x.everything()
	if ok && !x.restoring.has(all) && !all.Obsolete(now) {
		if err := add([]store.Revocation{all}); err != nil {
			return err
		}
	}
	for from, more := 0, true; more; {
		var page []store.Revocation
		if page, from, more = x.lacking(from, all, now); len(page) > 0 {
			if err := add(page); err != nil {
				return err
			}
		}
	}
	if written > 0 {
		x.config.Logger.WarnContext(ctx, "revocations: added to the log what it had lost", "revocations", written)
	}
	if held > 0 {
		x.config.Logger.ErrorContext(ctx, "revocations: the log has lost revocations and refuses them; this node holds them and tries again", "revocations", held)
	}
	return nil
}

// has reports whether the log has a revocation.
func (s *restoration) has(r store.Revocation) bool {
	_, ok := s.found[s.hash(r)]
	return ok
}

// everything returns the revocation of [store.TargetAll], if the index has one.
func (x *Index) everything() (all store.Revocation, ok bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	held, ok := x.set.spans[store.TargetAll][""]
	return held.revocation(store.TargetAll, ""), ok
}

// lacking returns the revocations of the index, from a position on, that the
// log lacks and needs: those that are neither obsolete nor covered by all, the
// one of [store.TargetAll]. It looks at no more than [store.MaxPage] of them,
// and returns the next position and whether there are more.
//
// A position is an index in x.set.expiries. Only sweep removes entries from
// there or moves them forward, and it is not called during a restoration.
func (x *Index) lacking(from int, all store.Revocation, now time.Time) (page []store.Revocation, next int, more bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for ; from < len(x.set.expiries) && next < store.MaxPage; from++ {
		next++
		name := x.set.expiries[from].name
		r := x.set.spans[name.Target][name.ID].revocation(name.Target, name.ID)
		covered := r.Target == store.TargetAll || all.Target == store.TargetAll && all.Covers(r)
		if !covered && !r.Obsolete(now) && !x.restoring.has(r) {
			page = append(page, r)
		}
	}
	return page, from, from < len(x.set.expiries)
}

// writeBack adds revocations to the log. If the log refuses them, for example
// because it is full, it returns true, and the backlog holds them. If
// Config.MaxHeld is reached, they remain in the index only.
func (x *Index) writeBack(ctx context.Context, revocations []store.Revocation) (held bool, err error) {
	writing, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err = x.config.Log.Revoke(writing, revocations...)
	switch {
	case errors.Is(err, store.ErrUnconfirmed):
		return false, nil
	case !errors.Is(err, store.ErrFull) && !errors.Is(err, store.ErrInvalid):
		return false, err
	}
	if x.backlog.reserve(revocations) {
		x.backlog.hold(revocations)
	}
	return true, nil
}
