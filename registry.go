package wsauth

import "sync"

// A grain is what sockets are found by.
type grain int

const (
	byToken   grain = iota // jti
	bySession              // sid
	bySubject              // sub
	byAddress              // the network of the client, where a limit needs it
	byNothing              // all of them
	grains
)

// A link is a socket's place among those of one name, which form a ring in the
// order in which they came.
type link struct {
	name       string
	prev, next *Session // nil when it is in no ring
}

// A registry holds the open sockets, so that they can be found and counted by
// what their tokens say.
type registry struct {
	limits Limits

	mu      sync.Mutex
	oldest  [grains]map[string]*Session
	waiting map[string]int // sockets whose client is not known yet, by address
	nobody  int            // all of them
	closing bool
	idle    chan struct{} // closed when the last socket is gone, while closing
}

func newRegistry(limits Limits) *registry {
	r := &registry{limits: limits, waiting: map[string]int{}, idle: make(chan struct{})}
	for g := range r.oldest {
		r.oldest[g] = map[string]*Session{}
	}
	return r
}

// add puts s into the ring of a name. The caller holds the lock, as for all
// that follow here.
func (r *registry) add(g grain, name string, s *Session) {
	l := &s.links[g]
	l.name = name
	oldest := r.oldest[g][name]
	if oldest == nil {
		r.oldest[g][name] = s
		l.prev, l.next = s, s
		return
	}
	newest := oldest.links[g].prev
	l.prev, l.next = newest, oldest
	newest.links[g].next, oldest.links[g].prev = s, s
}

// remove takes s out of its ring, if it is in one.
func (r *registry) remove(g grain, s *Session) {
	l := &s.links[g]
	switch {
	case l.next == nil:
		return
	case l.next == s:
		delete(r.oldest[g], l.name)
	default:
		l.prev.links[g].next, l.next.links[g].prev = l.next, l.prev
		if r.oldest[g][l.name] == s {
			r.oldest[g][l.name] = l.next
		}
	}
	*l = link{}
}

// named returns the sockets of a name, the oldest first.
func (r *registry) named(g grain, name string) []*Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest := r.oldest[g][name]
	if oldest == nil {
		return nil
	}
	all := []*Session{oldest}
	for s := oldest.links[g].next; s != oldest; s = s.links[g].next {
		all = append(all, s)
	}
	return all
}

// all returns every open socket, the oldest first.
func (r *registry) all() []*Session { return r.named(byNothing, "") }

// full reports whether a name has at least most sockets.
func (r *registry) full(g grain, name string, most int) bool {
	oldest := r.oldest[g][name]
	if oldest == nil {
		return most <= 0
	}
	n := 1
	for s := oldest.links[g].next; s != oldest && n < most; s = s.links[g].next {
		n++
	}
	return n >= most
}

// forget removes a socket whose connection is gone, and reports whether it was
// let in.
func (r *registry) forget(s *Session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for g := range grains {
		r.remove(g, s)
	}
	if s.counted {
		s.counted = false
		r.known(s.network)
	}
	r.closeIdle()
	admitted := s.admitted
	s.admitted = false
	return admitted
}

// close lets no socket in any more.
func (r *registry) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closing {
		r.closing = true
		r.closeIdle()
	}
}

func (r *registry) closeIdle() {
	if r.closing && len(r.oldest[byNothing]) == 0 && r.nobody == 0 {
		select {
		case <-r.idle:
		default:
			close(r.idle)
		}
	}
}
