// Package relay carries the bytes of WebSockets between clients and the
// upstreams behind a gateway, once both handshakes are done.
//
// It is not a WebSocket library: it reads the heads of frames, and not their
// payload. From the heads it knows where a frame ends, so that it can insert a
// close frame there when the right to the socket has ended. It also finds what
// breaks the rules of RFC 6455, and passes that on to neither side.
//
// One type, core, decides what to do with what was read, and knows no
// connection. Two drivers move the bytes: pumps with two goroutines a tunnel,
// for any net.Conn; and on Linux, between two plain sockets, an event loop,
// which holds no goroutine and no buffer for an idle tunnel.
package relay

import (
	"net"
	"sync"
	"time"

	"wsauth/internal/eventloop"
)

// Grace bounds how long a tunnel may take to end, counted from the first end
// of a stream, close frame or call of End: half of it for the upstream to
// finish its frame, the whole of it for both sides to hang up.
const Grace = 5 * time.Second

// defaultStall is how long a side may take nothing while data waits for it.
const defaultStall = 30 * time.Second

// A Relay carries tunnels. All methods are safe for concurrent use.
type Relay struct {
	loops *eventloop.Group
	epoch time.Time     // of the loops; times are counted from it
	grace time.Duration // Grace, but for tests

	mu     sync.Mutex
	closed bool
	pumped map[*pumps]struct{} // tunnels that goroutines carry
	done   sync.WaitGroup      // for their goroutines
}

// New returns a Relay that uses the loops of a group, if it has any, and whose
// Close closes the group. While the group is paused, no frames pass.
func New(loops *eventloop.Group) *Relay {
	return &Relay{loops: loops, epoch: loops.Epoch(), grace: Grace, pumped: make(map[*pumps]struct{})}
}

// Carry relays between the two connections of p, which belong to the Relay
// from now on, and returns at once. On a Relay that is closed they are cut.
func (r *Relay) Carry(p Pair) *Tunnel {
	if p.Stall <= 0 {
		p.Stall = defaultStall
	}
	t := new(Tunnel)
	t.begin(p, r.grace, time.Since(r.epoch))

	if r.carry(t, p) {
		return t
	}
	driver := newPumps(r, t, p)
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

// Close cuts the tunnels that are left, closes the loops, and returns when all
// of them have ended. A callback of a [Pair] must not call it.
func (r *Relay) Close() {
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
	r.loops.Close()
}

// A driver moves the bytes of a tunnel.
type driver interface {
	end(frame []byte, said func())

	// unsent returns how many bytes the kernel holds for a side; 0 if that is
	// not known.
	unsent(s side) int
}

// netConn returns the connection beneath conn, if conn is one of TLS: to close
// TLS would wait for a peer that does not read.
func netConn(conn net.Conn) net.Conn {
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
		return over.NetConn()
	}
	return conn
}
