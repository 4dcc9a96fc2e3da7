package wsauth

import (
	"cmp"
	"iter"
	"slices"

	"wsauth/store"
)

// A Filter selects open sockets. The zero Filter selects none: a token without
// the claim that an application filters by must not select the sockets of
// everyone.
type Filter struct {
	// All selects all sockets, including those without a token. Token, Session
	// and Subject have no effect then.
	All bool

	// Token, Session and Subject select the sockets whose current token has
	// this jti, sid and sub. An empty one places no condition, but at least
	// one is needed.
	Token   string
	Session string
	Subject string

	// After selects the sockets whose [Socket.ID] is greater, to continue a
	// list that ended with this ID.
	After uint64
}

// Sockets yields the open sockets and the followed requests (see [Follow])
// that f selects, in the order in which they were opened. A socket that is
// open during the whole iteration is yielded once; one that opens or ends in
// the meantime is yielded at most once.
//
// Sockets holds no lock while it yields. With Filter.All, it copies a few
// sockets at a time: iterating over a hundred thousand delays none of them.
func (g *Guard) Sockets(f Filter) iter.Seq[*Socket] {
	var candidates iter.Seq[*Socket]
	switch {
	case f.All:
		candidates = g.inOrder(f.After)
	case f.Token != "":
		candidates = g.sorted(byToken, f.Token)
	case f.Session != "":
		candidates = g.sorted(bySession, f.Session)
	case f.Subject != "":
		candidates = g.sorted(bySubject, f.Subject)
	default:
		return func(func(*Socket) bool) {}
	}
	return func(yield func(*Socket) bool) {
		for s := range candidates {
			if s.end.Load() == nil && f.selects(s) && !yield(s) {
				return
			}
		}
	}
}

// selects reports whether f selects s.
func (f Filter) selects(s *Socket) bool {
	if s.ID() <= f.After {
		return false
	}
	if f.All {
		return true
	}
	c := s.Claims()
	return c != nil && (f.Token == "" || c.ID == f.Token) && (f.Session == "" || c.SessionID == f.Session) && (f.Subject == "" || c.Subject == f.Subject)
}

// sorted yields the sockets and the followed requests of a name. They are in
// the order in which they were opened, whereas a ring is in the order in which
// they authenticated.
func (g *Guard) sorted(kind nameKind, name string) iter.Seq[*Socket] {
	return func(yield func(*Socket) bool) {
		for _, s := range slices.SortedFunc(slices.Values(g.named(kind, name)), compareIDs) {
			if !yield(s) {
				return
			}
		}
	}
}

// inOrder yields the sockets and the followed requests after an ID.
func (g *Guard) inOrder(after uint64) iter.Seq[*Socket] {
	return func(yield func(*Socket) bool) {
		for {
			sockets, last := g.part(after)
			if last == after {
				return
			}
			after = last
			for _, s := range sockets {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// part does what registry.part does, for both sockets and followed requests.
func (g *Guard) part(after uint64) (open []*Socket, last uint64) {
	sockets, last := g.sockets.part(after)
	requests, lastRequest := g.requests.part(after)
	open = append(sockets, requests...)
	if lastRequest == after {
		return open, last
	}
	if last == after {
		return open, lastRequest
	}
	// Beyond the smaller last ID, the other part may be incomplete.
	last = min(last, lastRequest)
	open = slices.DeleteFunc(open, func(s *Socket) bool { return s.ID() > last })
	slices.SortFunc(open, compareIDs)
	return open, last
}

func compareIDs(a, b *Socket) int { return cmp.Compare(a.ID(), b.ID()) }

// Stats contains numbers that describe the state of a guard.
type Stats struct {
	Sockets  int // including those that are closing
	Requests int // followed ones; see [Follow]
	Sessions int // with open sockets, by sid
	Subjects int // with open sockets, by sub

	// Log tells how full the log of Config.Revocations is. It is at most one
	// second old if the store answers, and zero if there is no log.
	Log store.Usage

	// Held is the number of revocations that only this process has, because
	// the log has not accepted them.
	Held int

	// Degraded reports whether revocations that were made before, or are made
	// now, would be lost with this process.
	Degraded bool
}

// Stats returns the current state of the guard. It does not block.
func (g *Guard) Stats() Stats {
	var s Stats
	s.Sockets, s.Sessions, s.Subjects = g.sockets.counts()
	s.Requests, _, _ = g.requests.counts()
	if g.revocations != nil {
		s.Log, s.Held = g.revocations.Usage(), g.revocations.Held()
		s.Degraded = s.Held > 0 || s.Log.ReadOnly || s.Log.Full()
	}
	return s
}

// concerned returns the open sockets that a revocation would end, oldest
// first, and then the followed requests.
func (g *Guard) concerned(r store.Revocation) []*Socket {
	return append(g.sockets.concerned(r), g.requests.concerned(r)...)
}

// named returns the sockets and the followed requests of a name.
func (g *Guard) named(kind nameKind, name string) []*Socket {
	return append(g.sockets.named(kind, name), g.requests.named(kind, name)...)
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
