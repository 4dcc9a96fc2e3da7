package wsauth

import (
	"cmp"
	"iter"
	"slices"

	"wsauth/store"
)

// Sessions returns the open sockets of a subject, oldest first, and then its
// followed requests; see [Follow].
func (g *Guard) Sessions(subject string) []*Socket {
	ended := func(s *Socket) bool { return s.end.Load() != nil }
	return slices.DeleteFunc(g.named(bySubject, subject), ended)
}

// Concerned returns the open sockets that a revocation would end, oldest
// first, and then the followed requests. It revokes nothing.
func (g *Guard) Concerned(r store.Revocation) []*Socket {
	return append(g.sockets.concerned(r), g.requests.concerned(r)...)
}

// All yields the open sockets and the followed requests in the order in which
// they were opened, beginning with the first one whose [Socket.Number] is
// greater than after; 0 begins with the oldest. A socket that is open during
// the whole iteration is yielded once; one that opens or ends in the meantime
// is yielded at most once.
//
// All copies a few at a time, and holds no lock while it yields: iterating
// over a hundred thousand sockets delays none of them.
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

// part does what registry.part does, for both sockets and followed requests.
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
	// Beyond the smaller last number, the other part may be incomplete.
	last = min(last, lastRequest)
	open = slices.DeleteFunc(open, func(s *Socket) bool { return s.Number() > last })
	slices.SortFunc(open, func(a, b *Socket) int { return cmp.Compare(a.Number(), b.Number()) })
	return open, last
}

// Counts contains the numbers of open sockets and requests.
type Counts struct {
	Sockets  int
	Requests int // followed ones; see [Follow]
	Sessions int // with open sockets, by sid
	Subjects int // with open sockets, by sub
}

// Counts returns the current numbers of sockets and requests, including
// sockets that are closing.
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

// registryOf returns the registry of s.
func (g *Guard) registryOf(s *Socket) *registry {
	if s.followed != nil {
		return g.requests
	}
	return g.sockets
}
