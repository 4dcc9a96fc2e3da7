package wsauth

import (
	"iter"

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
// sockets at a time, so that iterating over a hundred thousand delays none.
func (g *Guard) Sockets(f Filter) iter.Seq[*Socket] {
	var candidates iter.Seq[*Socket]
	switch {
	case f.All:
		candidates = g.open.inOrder(f.After)
	case f.Token != "":
		candidates = g.open.sorted(byToken, f.Token)
	case f.Session != "":
		candidates = g.open.sorted(bySession, f.Session)
	case f.Subject != "":
		candidates = g.open.sorted(bySubject, f.Subject)
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
	s.Sockets, s.Sessions, s.Subjects = g.open.sockets.counts()
	s.Requests, _, _ = g.open.requests.counts()
	if g.revocations != nil {
		s.Log, s.Held = g.revocations.index.Usage(), g.revocations.index.Held()
		s.Degraded = s.Held > 0 || s.Log.ReadOnly || s.Log.Full()
	}
	return s
}
