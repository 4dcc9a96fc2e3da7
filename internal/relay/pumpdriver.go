package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"wsauth/internal/eventloop"
	"wsauth/internal/wsconn"
)

// pastTime is a deadline that interrupts a read or a write at once.
var pastTime = time.Unix(1, 0)

// maxWrite bounds the bytes of a single write over TLS, where it is the maximum
// size of a record. It also bounds writes while the tunnel is ending, because
// the progress of a write is unknown until it returns.
const maxWrite = 16 << 10

// slowWrite is the duration from which a write is assumed to have waited for
// the peer.
const slowWrite = 10 * time.Millisecond

// dropSize bounds the unread bytes dropped before a connection is closed.
const dropSize = 256 << 10

// wakeNow represents the deadline pastTime.
const wakeNow = time.Duration(-1)

// A pumpDriver carries a tunnel with two goroutines: each reads from one side
// and writes to the other. mu guards the core, and is not held during a read or
// a write.
//
// The driver has no timers of its own: deadlines of the connections wake the
// goroutines that wait for them. A deadline may fire too early, but never too
// late, so it need not be set again each time bytes arrive.
type pumpDriver struct {
	relay *Relay

	mu    sync.Mutex
	core  *core
	conns [2]net.Conn
	pumps [2]pump
	left  int         // running pumps
	timer *time.Timer // calls checkProgress while the tunnel is ending; nil before
}

// A pump is the state of the goroutine that carries one lane.
type pump struct {
	reading, writing            bool
	readDeadline, writeDeadline time.Duration // as set; 0: none
}

func newPumpDriver(r *Relay, t *Tunnel, p Pair) *pumpDriver {
	return &pumpDriver{relay: r, core: &t.core, conns: [2]net.Conn{p.Client, p.Upstream}, left: 2}
}

func (p *pumpDriver) now() time.Duration { return time.Since(p.relay.epoch) }

func (p *pumpDriver) end(frame []byte, sent func()) {
	p.mu.Lock()
	p.core.end(frame, sent, p.now())
	p.apply()
	p.mu.Unlock()
}

// cut closes both connections at once.
func (p *pumpDriver) cut() {
	p.mu.Lock()
	p.core.recordEnd(TheRelay, "cut", p.now())
	p.core.markDead()
	p.apply()
	p.mu.Unlock()
}

// run carries the lane of s until it has ended.
func (p *pumpDriver) run(s side) {
	var b buffer
	l := &p.core.lanes[s]
	p.mu.Lock()
	for !p.core.dead && (len(l.pending) > 0 || l.halfCloseDue || !l.ended) {
		switch {
		case len(l.pending) > 0:
			p.write(s)
		case l.halfCloseDue:
			p.halfClose(s)
		case len(l.early) > 0:
			n := copy(b.next(), l.early)
			l.early = l.early[n:]
			p.core.received(s, b.bytes, n, p.now())
		default:
			p.read(s, &b)
		}
		if p.core.changed {
			p.apply()
		}
	}
	b.free()
	p.left--
	ended := p.left == 0
	p.mu.Unlock()
	if ended {
		p.finish()
	}
}

func (p *pumpDriver) unsent(s side) int { return wsconn.Unsent(p.conns[s]) }

// checkProgress runs the core's tick while the tunnel is ending, because both
// pumps may be blocked then.
func (p *pumpDriver) checkProgress() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left == 0 || p.core.dead {
		return
	}
	p.core.tick(p.now())
	p.core.changed = true
	p.apply()
	if p.core.draining != nil && !p.core.dead {
		p.timer.Reset(p.core.grace / wsconn.ChecksPerGrace)
	}
}

// interruptWrites interrupts the writes in progress, so that they continue in
// pieces of maxWrite. Writes over TLS never exceed maxWrite anyway.
func (p *pumpDriver) interruptWrites() {
	for s := range p.pumps {
		if to := p.conns[side(s).other()]; p.pumps[s].writing && to == netConn(to) {
			p.setWriteDeadline(side(s), wakeNow)
		}
	}
}

// finish removes the tunnel from the relay and calls the owner's Closed.
func (p *pumpDriver) finish() {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.relay.mu.Lock()
	_, carried := p.relay.pumped[p]
	delete(p.relay.pumped, p)
	p.relay.mu.Unlock()
	if p.core.onClosed != nil {
		p.core.onClosed(p.core.result())
	}
	if carried {
		p.relay.done.Add(-2)
	}
}

// read reads from s, and waits until its deadline at most. p.mu must be held;
// read unlocks it while it waits.
func (p *pumpDriver) read(s side, b *buffer) {
	p.ensureReadDeadline(s)
	conn, space := p.conns[s], b.next()
	p.pumps[s].reading = true
	p.mu.Unlock()
	n, err := conn.Read(space)
	p.relay.loops.WaitPaused()
	p.mu.Lock()
	p.pumps[s].reading = false
	now := p.now()
	if n > 0 {
		b.noteRead(n)
		p.core.received(s, b.bytes, n, now)
	}
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		p.core.tick(now)
		p.core.changed = true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // TLS without close_notify: the frames show where the stream ends
		p.core.finished(s, nil, now)
	default:
		p.core.finished(s, err, now)
	}
}

// write writes pending bytes of the lane of s. p.mu must be held; write unlocks
// it while it waits.
func (p *pumpDriver) write(s side) {
	l := &p.core.lanes[s]
	conn, wait := p.conns[s.other()], l.pending
	if p.core.draining != nil || conn != netConn(conn) {
		wait = wait[:min(len(wait), maxWrite)]
	}
	p.setWriteDeadline(s, p.writeDeadline(s))
	l.inFlight = true
	p.pumps[s].writing = true
	p.mu.Unlock()
	start := p.now()
	n, err := conn.Write(wait)
	p.mu.Lock()
	p.pumps[s].writing = false
	now := p.now()
	if s == upstream && now >= start+slowWrite && p.unsent(client) >= lagBytes {
		p.core.lag.laggedAt = now
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.core.wrote(s, n, nil, now)
		p.core.tick(now)
		p.core.changed = true
		return
	}
	p.core.wrote(s, n, err, now)
}

// halfClose half-closes the connection to the destination of s's lane. p.mu
// must be held; halfClose unlocks it while it waits.
func (p *pumpDriver) halfClose(s side) {
	conn := p.conns[s.other()]
	p.mu.Unlock()
	err := wsconn.CloseWrite(conn)
	p.mu.Lock()
	p.core.halfClosed(s, err, p.now())
}

// apply does what the core asks for, except writing: it closes connections,
// wakes pumps that must no longer wait, and makes the calls. p.mu must be held;
// apply unlocks it during the calls.
func (p *pumpDriver) apply() {
	c := p.core
	for c.changed || len(c.calls) > 0 {
		c.changed = false
		if c.draining != nil && p.timer == nil {
			p.timer = time.AfterFunc(c.grace/wsconn.ChecksPerGrace, p.checkProgress)
			p.interruptWrites()
		}
		for s := range c.lanes {
			if c.dead || c.lanes[s].cut {
				p.close(side(s))
			}
		}
		p.rearm(client)
		p.rearm(upstream)
		calls := c.calls
		c.calls = nil
		p.mu.Unlock()
		for _, call := range calls {
			call()
		}
		p.mu.Lock()
	}
}

// close closes the connection of s. If the tunnel ended normally and bytes are
// still on their way to s, it first discards the unread bytes from s: otherwise
// the kernel would reset the connection, and s would lose those bytes. p.mu
// must be held.
func (p *pumpDriver) close(s side) {
	conn := netConn(p.conns[s])
	if p.core.draining != nil && !p.core.lanes[s].ended && p.unsent(s) > 0 {
		eventloop.DropUnread(conn, dropSize)
	}
	_ = conn.Close()
}

// rearm wakes the pump of s or moves its deadline after a change of the core.
func (p *pumpDriver) rearm(s side) {
	pump, l := &p.pumps[s], &p.core.lanes[s]
	switch {
	case pump.reading && (l.halfCloseDue || !l.wantsRead()):
		p.setReadDeadline(s, wakeNow)
	case pump.reading:
		p.ensureReadDeadline(s)
	case pump.writing && (l.phase == cutting || l.phase == dropping):
		p.setWriteDeadline(s, wakeNow)
	case pump.writing && pump.writeDeadline != wakeNow && p.writeDeadline(s) != pump.writeDeadline:
		p.setWriteDeadline(s, p.writeDeadline(s))
	}
}

// ensureReadDeadline sets the deadline for reading from s, unless an earlier
// one is set.
func (p *pumpDriver) ensureReadDeadline(s side) {
	at := p.readDeadline(s)
	if have := p.pumps[s].readDeadline; have != at && (have > at || have <= p.now()) {
		p.setReadDeadline(s, at)
	}
}

// readDeadline returns until when the pump of s may wait for bytes; 0: no
// limit. The pump that reads from the upstream also wakes for the core's next
// tick.
func (p *pumpDriver) readDeadline(s side) time.Duration {
	at := p.core.next()
	if s == client {
		at = p.core.deadline
	}
	if at == never {
		return 0
	}
	return at
}

// writeDeadline returns until when the pump of s may wait for its destination.
func (p *pumpDriver) writeDeadline(s side) time.Duration {
	if p.core.draining != nil { // checkProgress ends it earlier; a write over TLS cannot resume after a timeout
		return p.core.draining.endedAt + wsconn.MaxGrace
	}
	at := p.core.lanes[s].pendingSince + p.core.stallAfter
	if p.core.deadline > 0 {
		at = min(at, p.core.deadline)
	}
	if s == upstream && p.core.closeFrameDeadline > 0 {
		at = min(at, p.core.closeFrameDeadline)
	}
	return at
}

func (p *pumpDriver) setReadDeadline(s side, at time.Duration) {
	p.pumps[s].readDeadline = at
	_ = p.conns[s].SetReadDeadline(p.time(at))
}

func (p *pumpDriver) setWriteDeadline(s side, at time.Duration) {
	p.pumps[s].writeDeadline = at
	_ = p.conns[s.other()].SetWriteDeadline(p.time(at))
}

func (p *pumpDriver) time(at time.Duration) time.Time {
	switch at {
	case 0:
		return time.Time{}
	case wakeNow:
		return pastTime
	}
	return p.relay.epoch.Add(at)
}
