package wsauth

import (
	"cmp"
	"iter"
	"slices"

	"wsauth/store"
)

// Sessions returns the open sockets of a subject, the oldest first, and then
// the requests that are followed; see [Socket.Follow].
func (g *Guard) Sessions(subject string) []*Socket {
	ended := func(s *Socket) bool { return s.end.Load() != nil }
	return slices.DeleteFunc(g.named(bySubject, subject), ended)
}

// Concerned returns the open sockets that a revocation would end, the oldest
// first, and then the followed requests. It revokes nothing.
func (g *Guard) Concerned(r store.Revocation) []*Socket {
	return append(g.sockets.concerned(r), g.requests.concerned(r)...)
}

// All yields the open sockets and the followed requests in the order in which
// they were opened, from the first one whose [Socket.Number] is more than
// after; 0 begins with the oldest. One that is open all the time is yielded
// once, one that opens or ends meanwhile once or not at all.
//
// All copies a few at a time, and holds no lock while it yields: reading a
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

// part is registry.part for sockets and followed requests together.
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
	// Beyond the first of the two ends, some of the other may be missing.
	last = min(last, lastRequest)
	open = slices.DeleteFunc(open, func(s *Socket) bool { return s.Number() > last })
	slices.SortFunc(open, func(a, b *Socket) int { return cmp.Compare(a.Number(), b.Number()) })
	return open, last
}

// Counts says how many sockets and requests are open.
type Counts struct {
	Sockets  int
	Requests int // that are followed; see [Socket.Follow]
	Sessions int // with sockets, by their sid
	Subjects int // with sockets, by their sub
}

// Counts returns how many sockets and requests are open now, sockets that are
// closing included.
func (g *Guard) Counts() Counts {
	var c Counts
	c.Sockets, c.Sessions, c.Subjects = g.sockets.counts()
	c.Requests, _, _ = g.requests.counts()
	return c
}

// named returns the sockets and the followed requests of a name.
func (g *Guard) named(at grain, name string) []*Socket {
	return append(g.sockets.named(at, name), g.requests.named(at, name)...)
}

// all returns the sockets and the followed requests.
func (g *Guard) all() []*Socket {
	return append(g.sockets.all(), g.requests.all()...)
}

// registryOf returns where a socket is registered.
func (g *Guard) registryOf(s *Socket) *registry {
	if s.followed != nil {
		return g.requests
	}
	return g.sockets
}
