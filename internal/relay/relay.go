// Package relay carries the bytes of WebSockets between clients and the
// upstreams behind a gateway, once both handshakes are done.
//
// It is not a WebSocket library: it reads the heads of frames, and not their
// payload. The heads show where a frame ends, so that the relay can insert a
// close frame there when the client's right to the socket ends. The relay also
// enforces the rules of RFC 6455, and passes on no frame that breaks them.
//
// The type core decides what to do with the bytes that arrive, and does no I/O.
// Two drivers move the bytes: pumpDriver has two goroutines for a tunnel, and
// works with any net.Conn; loopDriver runs on an event loop, on Linux and
// between two plain sockets, and has no goroutine and no buffer for an idle
// tunnel.
package relay

import (
	"net"
	"sync"
	"time"

	"wsauth/internal/eventloop"
)

// Grace bounds how long a tunnel may take to end after the first close frame,
// end of a stream or call of End. The upstream has half of Grace to finish its
// frame, and both sides have all of it to hang up. After a normal end, a side
// that still takes data gets more time, up to wsconn.MaxGrace.
const Grace = 5 * time.Second

// defaultStall is the default of [Pair.Stall].
const defaultStall = 30 * time.Second

// A Relay carries tunnels. All methods are safe for concurrent use.
type Relay struct {
	loops *eventloop.Group
	epoch time.Time     // the loops'; times are durations since then
	grace time.Duration // Grace, except in tests

	mu     sync.Mutex
	closed bool
	pumped map[*pumpDriver]struct{} // tunnels that a pumpDriver carries
	done   sync.WaitGroup           // for their goroutines
}

// New returns a Relay that uses the loops of a group, if it has any. Closing
// the Relay closes the group. While the group is paused, no frames pass.
func New(loops *eventloop.Group) *Relay {
	return &Relay{loops: loops, epoch: loops.Epoch(), grace: Grace, pumped: make(map[*pumpDriver]struct{})}
}

// Carry starts to relay between the two connections of p, which the Relay owns
// from now on. If the Relay is closed, Carry closes them.
func (r *Relay) Carry(p Pair) *Tunnel {
	if p.Stall <= 0 {
		p.Stall = defaultStall
	}
	t := new(Tunnel)
	t.begin(p, r.grace, time.Since(r.epoch))

	if r.carry(t, p) {
		return t
	}
	driver := newPumpDriver(r, t, p)
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

// Close cuts the remaining tunnels, closes the loops, and returns when all of
// them have ended. A callback of a [Pair] must not call it.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	left := make([]*pumpDriver, 0, len(r.pumped))
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
	// end calls the core's end.
	end(frame []byte, sent func())

	// unsent returns how many bytes the kernel holds for a side, or 0 if that
	// is unknown.
	unsent(s side) int
}

// netConn returns the connection below a TLS connection, or conn itself.
// Closing the TLS connection would wait for a peer that does not read.
func netConn(conn net.Conn) net.Conn {
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
		return over.NetConn()
	}
	return conn
}
