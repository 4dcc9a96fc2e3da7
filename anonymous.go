package wsauth

// anonymous counts sockets whose clients have not authenticated, in total or
// in one network.
type anonymous struct {
	waiting int // for a first message
	refused int // opened by RefuseClose only to be closed
	leaving int // ended while they waited; their connections are closing
}

// full reports whether there is no room for one more socket. Ended sockets do
// not count against the maximum, but their connections stay open until their
// clients disconnect. Including them, at most twice the maximum are open.
func (a anonymous) full(most int) bool {
	return a.waiting+a.refused >= most || a.waiting+a.refused+a.leaving-most >= most // 2*most may overflow
}

// fullOfRefused reports whether there is no room for one more socket that is
// opened only to be closed. These sockets may be at most half of the maximum,
// so that many of them leave room for sockets that wait for a token.
func (a anonymous) fullOfRefused(most int) bool {
	return a.full(most) || a.refused >= max(most/2, 1)
}

func (a anonymous) none() bool { return a == anonymous{} }

// anonymousCounts counts anonymous sockets in total and by network. It is not
// safe for concurrent use.
type anonymousCounts struct {
	most, mostOfNetwork int

	all      anonymous
	networks map[string]anonymous
}

func newAnonymousCounts(limits Limits) anonymousCounts {
	return anonymousCounts{most: limits.Unauthenticated, mostOfNetwork: limits.UnauthenticatedPerAddress, networks: map[string]anonymous{}}
}

// check fails with RateLimited if there is no room for one more socket, in
// total or in the network.
func (c *anonymousCounts) check(network string, full func(a anonymous, most int) bool) error {
	if full(c.all, c.most) || full(c.networks[network], c.mostOfNetwork) {
		return refuseWith(RateLimited, "Too many connections wait to be authenticated")
	}
	return nil
}

// change applies a change to the total and to the count of a network.
func (c *anonymousCounts) change(network string, change func(*anonymous)) {
	change(&c.all)
	of := c.networks[network]
	change(&of)
	if of.none() {
		delete(c.networks, network)
		return
	}
	c.networks[network] = of
}

// reserve counts a socket that waits for a first message. If it has already
// timed out, reserve counts it as leaving.
func (c *anonymousCounts) reserve(e *entry) {
	e.anonymous = true
	c.change(e.network, func(a *anonymous) {
		if e.leaving {
			a.leaving++
		} else {
			a.waiting++
		}
	})
}

// release undoes reserve when the client has authenticated or its connection
// is closed.
func (c *anonymousCounts) release(e *entry) {
	if !e.anonymous {
		return
	}
	e.anonymous = false
	c.change(e.network, func(a *anonymous) {
		if e.leaving {
			a.leaving--
		} else {
			a.waiting--
		}
	})
}
