package wsauth

// anonymous counts the sockets whose clients have not authenticated, in all or
// of one network.
type anonymous struct {
	waiting int // for a first message
	refused int // opened by RefuseClose just to be closed
	leaving int // waited, and were ended: their connections are closing
}

// full reports whether there is no place for one more socket. A socket that
// was ended takes no place, but its connection is still open until the client
// hangs up: all of them together are at most twice as many as the places.
func (a anonymous) full(most int) bool {
	return a.waiting+a.refused >= most || a.waiting+a.refused+a.leaving-most >= most // 2*most may overflow
}

// fullOfRefused reports whether no socket can be opened just to be refused.
// Such sockets get half of the places, so that a storm of them leaves room for
// sockets that wait for a credential.
func (a anonymous) fullOfRefused(most int) bool {
	return a.full(most) || a.refused >= max(most/2, 1)
}

func (a anonymous) none() bool { return a == anonymous{} }

// countAnonymous changes both counts that a socket of a network belongs to.
// r.mu must be held.
func (r *registry) countAnonymous(network string, change func(*anonymous)) {
	change(&r.anonymous)
	of := r.networks[network]
	change(&of)
	if of.none() {
		delete(r.networks, network)
		return
	}
	r.networks[network] = of
}

// reserveAnonymous counts s as one that waits for a first message, or that is
// leaving if its time ran out already. It fails with RateLimited when there is
// no place left, and with Restarting while the guard is draining.
func (r *registry) reserveAnonymous(s *Socket) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.mayReserve(s.network, anonymous.full); err != nil {
		return err
	}
	s.counted = true
	r.countAnonymous(s.network, func(a *anonymous) {
		if s.leaving {
			a.leaving++
		} else {
			a.waiting++
		}
	})
	return nil
}

// releaseAnonymous undoes reserveAnonymous, for a client that has
// authenticated or a connection that is gone. r.mu must be held.
func (r *registry) releaseAnonymous(s *Socket) {
	if !s.counted {
		return
	}
	s.counted = false
	r.countAnonymous(s.network, func(a *anonymous) {
		if s.leaving {
			a.leaving--
		} else {
			a.waiting--
		}
	})
}

// reserveRefused counts a socket that is opened only to be closed with a
// reason. It fails as reserveAnonymous does.
func (r *registry) reserveRefused(network string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.mayReserve(network, anonymous.fullOfRefused); err != nil {
		return err
	}
	r.countAnonymous(network, func(a *anonymous) { a.refused++ })
	return nil
}

// releaseRefused undoes reserveRefused.
func (r *registry) releaseRefused(network string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.countAnonymous(network, func(a *anonymous) { a.refused-- })
	r.closeIdle()
}

// mayReserve refuses a socket where one of its two counts is full. r.mu must
// be held.
func (r *registry) mayReserve(network string, full func(a anonymous, most int) bool) error {
	switch {
	case r.closing:
		return refuse(Restarting, nil)
	case full(r.anonymous, r.limits.Unauthenticated), full(r.networks[network], r.limits.UnauthenticatedPerAddress):
		return refuseWith(RateLimited, "Too many connections wait to be authenticated")
	}
	return nil
}
