package eventloop

import (
	"sync/atomic"
	"time"
)

// Options configures a [Group].
type Options struct {
	// Loops is the number of loops. The default is one for every two CPUs that
	// Go uses: servers behind the gateway, the kernel and the goroutines that
	// open sockets need CPUs too, and a loop with more to do finds more events
	// each time it looks.
	Loops int

	// Portable starts no loops, as on systems that have none.
	Portable bool

	// Paused reports whether nothing may pass for the moment, because the
	// process was stopped and does not know what has changed since. A loop asks
	// before it handles events, and handles none while the result is true.
	// Paused must not block. Nil is never.
	Paused func() bool
}

// A Group is a fixed set of event loops. Its methods are safe for concurrent
// use.
type Group struct {
	epoch  time.Time
	paused func() bool
	loops  []*Loop
	next   atomic.Uint32 // counts the sockets that were given to a loop in turn
}

// New starts the loops of a Group. It fails if the system has no descriptors
// left for them.
func New(o Options) (*Group, error) {
	g := &Group{epoch: time.Now(), paused: o.Paused}
	if g.paused == nil {
		g.paused = func() bool { return false }
	}
	if o.Portable {
		return g, nil
	}
	if err := g.start(o.Loops); err != nil {
		return nil, err
	}
	return g, nil
}

// Epoch returns the time from which the loops count theirs.
func (g *Group) Epoch() time.Time { return g.epoch }

// pauseCheck is the time between two calls of Options.Paused during a pause.
const pauseCheck = 2 * time.Millisecond

// WaitPaused waits until Options.Paused reports false.
func (g *Group) WaitPaused() {
	for g.paused() {
		time.Sleep(pauseCheck)
	}
}

// Acceptor has the callbacks of [Group.Accept]. A loop calls them, so they
// must not block.
type Acceptor struct {
	// Accepted takes a new connection, which no loop watches yet.
	Accepted func(conn *Conn)

	// Failed is called with the first of several errors in a row for which no
	// client can be accepted. The loop goes on trying.
	Failed func(err error)
}

// Wait describes a wait for the first bytes of a connection.
type Wait struct {
	Limit time.Duration // until os.ErrDeadlineExceeded
	To    Receiver

	// Over reports whether the bytes are not needed any more. The loop asks ten
	// times a second, and ends the wait with ErrOver. Nil is never.
	Over func() bool
}

// A Receiver takes the first bytes of a connection.
type Receiver interface {
	// Received takes data, which it must not keep, or the error for which there
	// is none. It returns how long to wait for more; 0 or less ends the wait,
	// and so does an error. idle tells that the loop has little else to do. A
	// loop calls Received, so it must not block.
	Received(data []byte, idle bool, err error) (more time.Duration)
}

// A Lease is what a connection holds until its descriptor is closed, such as
// a place among a limited number of connections.
type Lease interface {
	Release()
}
