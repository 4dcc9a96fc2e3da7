// Package relay carries the bytes of WebSockets between clients and the
// upstreams behind a gateway, once both handshakes are done.
//
// It is no WebSocket library: it reads the heads of frames and never their
// payload. From the heads it knows where one frame ends, so that it can put a
// close frame there when the right to the socket has ended, and what breaks the
// rules of RFC 6455, so that it reaches neither side.
//
// What to do with what was read is decided in one place, core, which knows no
// connection. Two drivers move the bytes: pumps with two goroutines per tunnel,
// for any net.Conn; and on Linux, between two plain sockets, loops over epoll,
// which hold no goroutine and no buffer of an idle tunnel.
package relay

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"wsauth/internal/connlimit"
	"wsauth/internal/proxyproto"
)

// Grace bounds how long a tunnel may take to end, from the first end of a
// stream, close frame or End on: half of it for the upstream to finish the
// frame that it is in, the whole of it for both sides to hang up.
const Grace = 5 * time.Second

// defaultStall is how long a side may take nothing while data waits for it.
const defaultStall = 30 * time.Second

// A Client is a connection that a loop has accepted.
type Client interface {
	proxyproto.Conn
	Unread(p []byte)         // has the next reads return p first
	Place() *connlimit.Place // nil without a limiter
}

// Accept says what becomes of the clients of a listener.
type Accept struct {
	Patience time.Duration                             // how long a client may say nothing
	First    func(conn Client, data []byte, idle bool) // called by a loop with what came first: it must not block, nor keep data
	Failed   func(error)                               // nobody could be accepted; it is tried until somebody is
	Limiter  *connlimit.Limiter                        // of the clients; nil limits nothing

	// Proxies say whose header of the PROXY protocol counts, with which each
	// connection must begin then. Patience begins anew after it. Default: there
	// is no such header.
	Proxies *proxyproto.Rules
}

// Answer says how to wait for the answer of an upstream.
type Answer struct {
	Patience time.Duration                // how long it may take
	Over     func() bool                  // reports whether nobody waits any more; asked ten times a second
	First    func(data []byte, err error) // called by a loop with what came first, or why nothing did: it must not block, nor keep data
}

// Options say how a Relay works.
type Options struct {
	// Loops is how many event loops there are, where the system has them. 0: one
	// for every two CPUs that may be used. The backends, the kernel and whoever
	// opens sockets need CPUs too, and the busier a loop is, the more messages it
	// finds at once each time it looks.
	Loops    int
	Portable bool // use none, but goroutines

	// Held reports whether nothing may pass now, because the process was
	// stopped and its owner has yet to learn what has ended meanwhile. It is
	// asked before anything that came is passed on, and must not wait. Frames
	// wait until it reports false. Default: never.
	Held func() bool

	grace time.Duration // for tests; 0: Grace
}

// heldFor is how long a driver waits before it asks Options.Held again.
const heldFor = 2 * time.Millisecond

// A Relay carries tunnels. All methods are safe for concurrent use.
type Relay struct {
	born  time.Time
	grace time.Duration
	held  func() bool
	loops []*loop
	next  atomic.Uint32 // the loop that gets the next tunnel

	mu     sync.Mutex
	closed bool
	pumped map[*pumps]struct{} // tunnels that goroutines carry
	done   sync.WaitGroup      // for their goroutines
}

// New makes a Relay. It fails where the system has no descriptors left.
func New(o Options) (*Relay, error) {
	if o.grace == 0 {
		o.grace = Grace
	}
	if o.Held == nil {
		o.Held = func() bool { return false }
	}
	r := &Relay{born: time.Now(), grace: o.grace, held: o.Held, pumped: make(map[*pumps]struct{})}
	if !o.Portable {
		var err error
		if r.loops, err = startLoops(o.Loops, r.born, r.held); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Carry relays between the two connections of p, which are the relay's from now
// on, and returns at once. On a Relay that is closed they are cut.
func (r *Relay) Carry(p Pair) *Tunnel {
	if p.Stall <= 0 {
		p.Stall = defaultStall
	}
	t := new(Tunnel)
	t.begin(p, r.grace, time.Since(r.born))

	if r.carry(t) {
		return t
	}
	driver := newPumps(r, t)
	t.driver = driver
	r.mu.Lock()
	closed := r.closed
	if !closed {
		r.pumped[driver] = struct{}{}
		r.done.Add(2)
	}
	r.mu.Unlock()

	if closed {
		driver.cut()
		driver.finish()
		return t
	}
	go driver.run(client)
	go driver.run(upstream)
	return t
}

// Close cuts the tunnels that are left, and returns when they and the loops
// have come to their end. It must not be called by a callback of a Pair.
func (r *Relay) Close() error {
	r.mu.Lock()
	r.closed = true
	left := make([]*pumps, 0, len(r.pumped))
	for p := range r.pumped {
		left = append(left, p)
	}
	r.mu.Unlock()
	for _, p := range left {
		p.cut()
	}
	r.done.Wait()
	return stopLoops(r.loops)
}

// A driver moves the bytes of a tunnel.
type driver interface {
	end(frame []byte, said func())

	// unsent returns how many bytes the kernel holds for a side; 0 where that is
	// unknown.
	unsent(s side) int
}

// netConn is the connection beneath conn, if it is one of TLS: closing that
// waits for nothing, while closing TLS waits for a peer that does not read.
func netConn(conn net.Conn) net.Conn {
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
		return over.NetConn()
	}
	return conn
}
