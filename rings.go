package wsauth

import "time"

// A nameKind is a kind of name by which sockets are found.
type nameKind int

const (
	byToken   nameKind = iota // jti
	bySession                 // sid
	bySubject                 // sub
	byIssuer                  // the sub of the issuer, if a profile uses another claim as the subject
	byAddress                 // the network of the client, if a limit needs it
	nameKinds
)

// A link is the position of a socket in the ring of one name. A ring is in the
// order in which its sockets were added.
type link struct {
	name       string
	prev, next *Socket // nil if in no ring
}

// A ring contains the sockets of one name. A socket is leaving once it has
// been ended or chosen for eviction: its connection may take a while to close,
// but it no longer counts against a limit.
type ring struct {
	oldest    *Socket
	all       int
	leaving   int
	evictions time.Duration // the registry.age at which the eviction budget is whole again
}

// staying returns how many sockets of the ring count against a limit.
func (o ring) staying() int { return o.all - o.leaving }

// rings contains the rings of all names. It is not safe for concurrent use.
type rings [nameKinds]map[string]ring

func newRings() (r rings) {
	for kind := range r {
		r[kind] = map[string]ring{}
	}
	return r
}

// named returns the sockets of a name, in the order of its ring.
func (r *rings) named(kind nameKind, name string) []*Socket {
	of := r[kind][name]
	all := make([]*Socket, 0, of.all)
	for s := of.oldest; len(all) < of.all; s = s.entry.links[kind].next {
		all = append(all, s)
	}
	return all
}

// oldest returns the oldest socket of a name that is not leaving; there must
// be one. It makes that socket the first of the ring, so that the leaving ones
// before it are not skipped again and again.
func (r *rings) oldest(kind nameKind, name string) *Socket {
	of := r[kind][name]
	for of.oldest.entry.leaving {
		of.oldest = of.oldest.entry.links[kind].next
	}
	r[kind][name] = of
	return of.oldest
}

// add appends s to the ring of a name.
func (r *rings) add(kind nameKind, name string, s *Socket) {
	of := r[kind][name]
	l := &s.entry.links[kind]
	l.name = name
	if of.oldest == nil {
		of.oldest = s
		l.prev, l.next = s, s
	} else {
		newest := of.oldest.entry.links[kind].prev
		l.prev, l.next = newest, of.oldest
		newest.entry.links[kind].next, of.oldest.entry.links[kind].prev = s, s
	}
	of.all++
	if s.entry.leaving {
		of.leaving++
	}
	r[kind][name] = of
}

// remove removes s from its ring, if it is in one.
func (r *rings) remove(kind nameKind, s *Socket) {
	l := s.entry.links[kind]
	if l.next == nil {
		return
	}
	s.entry.links[kind] = link{}
	if l.next == s {
		delete(r[kind], l.name)
		return
	}
	l.prev.entry.links[kind].next, l.next.entry.links[kind].prev = l.next, l.prev
	of := r[kind][l.name]
	of.all--
	if s.entry.leaving {
		of.leaving--
	}
	if of.oldest == s {
		of.oldest = l.next
	}
	r[kind][l.name] = of
}
