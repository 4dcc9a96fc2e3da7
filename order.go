package wsauth

import (
	"cmp"
	"iter"
	"slices"
	"sync/atomic"
)

// An order is the open sockets in the order in which they came. Each has a
// number, so that who reads them piece by piece finds the place again,
// whatever came and went in between. It is not safe for concurrent use.
type order struct {
	own     atomic.Uint64  // the number that was given last
	numbers *atomic.Uint64 // nil is own; another order may share it
	all     []numbered     // ascending, with holes
	open    int            // those that are no holes
}

// numbered is a socket in its place; nil where it has left it.
type numbered struct {
	number  uint64
	session *Socket
}

// add puts s last.
func (o *order) add(s *Socket) {
	if o.numbers == nil {
		o.numbers = &o.own
	}
	number := o.numbers.Add(1)
	s.number.Store(number)
	o.all = append(o.all, numbered{number, s})
	o.open++
}

// remove takes s out, if it is in.
func (o *order) remove(s *Socket) {
	i := o.after(s.number.Load() - 1)
	if i >= len(o.all) || o.all[i].session != s {
		return
	}
	o.all[i].session = nil
	o.open--
	if len(o.all) > 2*o.open+chunk {
		o.all = slices.DeleteFunc(o.all, func(n numbered) bool { return n.session == nil })
	}
}

// after is the first place behind a number.
func (o *order) after(number uint64) int {
	i, found := slices.BinarySearchFunc(o.all, number, func(n numbered, number uint64) int { return cmp.Compare(n.number, number) })
	if found {
		i++
	}
	return i
}

// chunk is how many places of the order are looked at while the lock is held.
const chunk = 256

// part returns the sockets in the next places after a number, and the number
// of the last of these places; no more than number itself is the end.
func (r *registry) part(number uint64) (sockets []*Socket, last uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.order.after(number)
	places := r.order.all[first:min(first+chunk, len(r.order.all))]
	for _, n := range places {
		number = n.number
		if n.session != nil {
			sockets = append(sockets, n.session)
		}
	}
	return sockets, number
}

// all returns every open socket, the oldest first.
func (r *registry) all() []*Socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*Socket, 0, r.order.open)
	for _, n := range r.order.all {
		if n.session != nil {
			all = append(all, n.session)
		}
	}
	return all
}

// part is that of a registry, for sockets and followed requests together.
func (g *Guard) part(number uint64) (open []*Socket, last uint64) {
	sockets, last := g.sockets.part(number)
	requests, lastRequest := g.requests.part(number)
	open = append(sockets, requests...)
	if lastRequest == number {
		return open, last
	}
	if last == number {
		return open, lastRequest
	}
	// Beyond the first of the two ends, sessions of the other may be missing.
	last = min(last, lastRequest)
	open = slices.DeleteFunc(open, func(s *Socket) bool { return s.Number() > last })
	slices.SortFunc(open, func(a, b *Socket) int { return cmp.Compare(a.Number(), b.Number()) })
	return open, last
}

// All yields the open sockets and the followed requests in the order in which
// they came, from the first one on whose [Socket.Number] is more than after;
// 0 begins with the oldest. One that is open for all of the time comes once,
// one that opens or ends meanwhile once or not at all.
//
// It copies a few at a time, and holds no lock while it yields: to look at a
// hundred thousand sockets delays none of them.
func (g *Guard) All(after uint64) iter.Seq[*Socket] {
	return func(yield func(*Socket) bool) {
		for number := after; ; {
			sockets, last := g.part(number)
			if last == number {
				return
			}
			number = last
			for _, s := range sockets {
				if s.end.Load() == nil && !yield(s) {
					return
				}
			}
		}
	}
}

// Counts are how much is open.
type Counts struct {
	Sockets  int
	Requests int // that are followed; see [Socket.Follow]
	Sessions int // with sockets, by their sid
	Subjects int // with sockets, by their sub
}

// Counts returns how much is open now, sockets that are just ending included.
func (g *Guard) Counts() Counts {
	r := g.sockets
	r.mu.Lock()
	counts := Counts{Sockets: r.order.open, Sessions: len(r.rings[bySession]), Subjects: len(r.rings[bySubject])}
	r.mu.Unlock()
	g.requests.mu.Lock()
	counts.Requests = g.requests.order.open
	g.requests.mu.Unlock()
	return counts
}
