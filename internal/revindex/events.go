package revindex

import (
	"hash/maphash"
	"time"

	"wsauth/store"
	"wsauth/store/storekit"
)

// deliveries records which events were delivered to Config.OnEvent and have not
// expired. If the log is replaced, the index reads it from the start, and omits
// the events that it has delivered before.
type deliveries struct {
	seed    maphash.Seed
	expires map[uint64]time.Time // by the hash of an event
	pruneAt int                  // the size of expires at which it is pruned
}

// minPruneAt is the least value of deliveries.pruneAt.
const minPruneAt = 1024

func newDeliveries() *deliveries {
	return &deliveries{seed: maphash.MakeSeed(), expires: map[uint64]time.Time{}, pruneAt: minPruneAt}
}

// add records that e was delivered, and reports whether it was new.
func (d *deliveries) add(e store.Event) bool {
	hash := maphash.Bytes(d.seed, storekit.AppendEvent(nil, e))
	if _, ok := d.expires[hash]; ok {
		return false
	}
	d.expires[hash] = e.Expires
	return true
}

// prune removes the events that have expired at the time now, once there are
// d.pruneAt events.
func (d *deliveries) prune(now time.Time) {
	if len(d.expires) < d.pruneAt {
		return
	}
	for hash, expires := range d.expires {
		if !expires.After(now) {
			delete(d.expires, hash)
		}
	}
	d.pruneAt = max(minPruneAt, 2*len(d.expires))
}

// deliver calls Config.OnEvent for the events of a page. While the index reads
// a log again, it omits those that it has delivered already.
func (x *Index) deliver(page store.Page) {
	for _, e := range page.Events {
		if isNew := x.delivered.add(e); isNew || x.restoring == nil {
			x.config.OnEvent(e)
		}
	}
	x.delivered.prune(page.Now)
}
