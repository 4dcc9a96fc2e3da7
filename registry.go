package wsauth

import (
	"context"
	"sync"
	"time"
)

// A grain is what sockets are found by.
type grain int

const (
	byToken   grain = iota // jti
	bySession              // sid
	bySubject              // sub
	byIssuer               // the sub of the issuer, where a profile takes another claim for it
	byAddress              // the network of the client, where a limit needs it
	grains
)

// A link is a socket's place among those of one name, which form a ring in the
// order in which they came.
type link struct {
	name       string
	prev, next *Socket // nil when it is in no ring
}

// A ring holds the sockets of one name. A socket is leaving once it was ended
// or chosen to be ended: its connection may take a while to go, but it no
// longer counts against a limit.
type ring struct {
	oldest    *Socket
	all       int
	leaving   int
	evictions time.Duration // until when evictions are used up, by registry.age
}

// staying returns how many sockets of the ring count against a limit.
func (o ring) staying() int { return o.all - o.leaving }

// A registry holds the open sockets, so that they can be found and counted by
// what their tokens say.
type registry struct {
	limits   Limits
	born     time.Time
	draining context.Context // done when no socket is let in any more
	drain    context.CancelFunc

	mu        sync.Mutex
	rings     [grains]map[string]ring
	order     order                // all of them
	anonymous anonymous            // those whose client has not authenticated
	networks  map[string]anonymous // the same, by network
	closing   bool
	idle      chan struct{} // closed when the last socket is gone, while closing
}

func newRegistry(limits Limits) *registry {
	r := &registry{limits: limits, born: time.Now(), networks: map[string]anonymous{}, idle: make(chan struct{})}
	r.draining, r.drain = context.WithCancel(context.Background())
	for g := range r.rings {
		r.rings[g] = map[string]ring{}
	}
	return r
}

// age returns how old the registry is, by the monotonic clock.
func (r *registry) age() time.Duration { return time.Since(r.born) }

// add puts s into the ring of a name. The caller holds the lock, as for all
// that follow here.
func (r *registry) add(g grain, name string, s *Socket) {
	of := r.rings[g][name]
	l := &s.links[g]
	l.name = name
	if of.oldest == nil {
		of.oldest = s
		l.prev, l.next = s, s
	} else {
		newest := of.oldest.links[g].prev
		l.prev, l.next = newest, of.oldest
		newest.links[g].next, of.oldest.links[g].prev = s, s
	}
	of.all++
	if s.leaving {
		of.leaving++
	}
	r.rings[g][name] = of
}

// remove takes s out of its ring, if it is in one.
func (r *registry) remove(g grain, s *Socket) {
	l := s.links[g]
	if l.next == nil {
		return
	}
	s.links[g] = link{}
	if l.next == s {
		delete(r.rings[g], l.name)
		return
	}
	l.prev.links[g].next, l.next.links[g].prev = l.next, l.prev
	of := r.rings[g][l.name]
	of.all--
	if s.leaving {
		of.leaving--
	}
	if of.oldest == s {
		of.oldest = l.next
	}
	r.rings[g][l.name] = of
}

// leave marks s as leaving, under all its names at once. Whoever marks a
// socket must end it: it counts no more.
func (r *registry) leave(s *Socket) {
	if s.leaving {
		return
	}
	s.leaving = true
	if s.counted {
		r.countAnonymous(s.network, func(a *anonymous) { a.waiting--; a.leaving++ })
	}
	for g, l := range s.links {
		if l.next != nil {
			of := r.rings[g][l.name]
			of.leaving++
			r.rings[g][l.name] = of
		}
	}
}

// ended marks a socket that was ended as leaving. r.mu must not be held.
func (r *registry) ended(s *Socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leave(s)
}

// named returns the sockets of a name, the oldest first.
func (r *registry) named(g grain, name string) []*Socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.rings[g][name]
	all := make([]*Socket, 0, of.all)
	for s := of.oldest; len(all) < of.all; s = s.links[g].next {
		all = append(all, s)
	}
	return all
}

// hasKnown reports whether anything is open whose client is known.
func (r *registry) hasKnown() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.rings[byToken])+len(r.rings[bySession])+len(r.rings[bySubject]) > 0
}

// forget removes a socket whose connection is gone.
func (r *registry) forget(s *Socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for g := range grains {
		r.remove(g, s)
	}
	r.order.remove(s)
	r.releaseAnonymous(s)
	r.closeIdle()
	s.admitted = false
}

// close lets no socket in any more.
func (r *registry) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closing {
		r.closing = true
		r.drain()
		r.closeIdle()
	}
}

func (r *registry) isClosing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closing
}

func (r *registry) closeIdle() {
	if r.closing && r.order.open == 0 && r.anonymous.none() {
		select {
		case <-r.idle:
		default:
			close(r.idle)
		}
	}
}
