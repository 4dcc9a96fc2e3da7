package eventloop

import (
	"sync/atomic"
	"time"
)

// Options configures a [Group].
type Options struct {
	// Loops is the number of loops. The default is one for every two CPUs that
	// Go uses: servers behind the gateway, the kernel and the goroutines that
	// open sockets need CPUs too, and a busy loop handles more events for each
	// system call.
	Loops int

	// Portable creates the Group without loops, as on systems without epoll.
	Portable bool

	// Paused reports whether no bytes may pass now, because the process was stopped
	// and may have missed revocations. A loop calls it before it handles events,
	// and handles none while it returns true. Paused must not block. Nil means
	// never paused.
	Paused func() bool
}

// A Group is a fixed set of event loops. Its methods are safe for concurrent
// use.
type Group struct {
	epoch  time.Time
	paused func() bool
	loops  []*Loop
	next   atomic.Uint32 // for choosing loops in turn
}

// New returns a Group whose loops run. It fails if no descriptors are left for
// them.
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

// Epoch returns the time that the loops' durations start from.
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
	// Accepted is called with each new connection, which no loop watches.
	Accepted func(conn *Conn)

	// Failed is called with the first of several consecutive errors of accept.
	// The loop tries again.
	Failed func(err error)
}

// Wait describes a wait for the first bytes of a connection.
type Wait struct {
	Limit    time.Duration // after this, the wait ends with os.ErrDeadlineExceeded
	Receiver Receiver

	// Canceled reports whether the bytes are no longer needed. The loop calls it
	// ten times a second, and ends the wait with ErrCanceled if it returns true.
	// Nil means never canceled.
	Canceled func() bool
}

// A Receiver takes the first bytes of a connection.
type Receiver interface {
	// Received is called with the bytes, which it must not keep, or with an
	// error. It returns how long to wait for more; 0 or less ends the wait, and
	// so does an error. idle reports that the loop has little else to do.
	// Received must not block.
	Received(data []byte, idle bool, err error) (more time.Duration)
}

// A Lease is a resource that a connection holds until its descriptor is closed,
// such as a slot of a limited number of connections.
type Lease interface {
	Release()
}
