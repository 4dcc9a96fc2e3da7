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

// past is a deadline that wakes whoever reads or writes.
var past = time.Unix(1, 0)

// piece is how much is written at once over TLS, whose records are no longer,
// and while the tunnel ends: until a write returns, its progress is not seen.
const piece = 16 << 10

// slowWrite is how long a write takes that had to wait for the peer.
const slowWrite = 10 * time.Millisecond

// dropSize bounds the unread bytes dropped before a connection is closed.
const dropSize = 256 << 10

// woken is what a deadline is noted as when it is past.
const woken = time.Duration(-1)

// pumps carry a tunnel with two goroutines: each reads from one side and writes
// to the other. The core is under mu, which nobody holds while reading or
// writing.
//
// What has to happen at a time happens when a deadline of a connection wakes
// the goroutine that waits for it. A deadline may come too early, never too
// late: so it need not be set anew each time something comes.
type pumps struct {
	relay *Relay

	mu    sync.Mutex
	core  *core
	conns [2]net.Conn
	pumps [2]pump
	left  int         // pumps that run
	timer *time.Timer // looks at progress while the tunnel ends; nil before
}

// A pump carries one lane.
type pump struct {
	reading, writing bool
	readBy, writeBy  time.Duration // the deadlines that are set; 0: none
}

func newPumps(r *Relay, t *Tunnel, p Pair) *pumps {
	return &pumps{relay: r, core: &t.core, conns: [2]net.Conn{p.Client, p.Upstream}, left: 2}
}

func (p *pumps) now() time.Duration { return time.Since(p.relay.epoch) }

func (p *pumps) end(frame []byte, said func()) {
	p.mu.Lock()
	p.core.end(frame, said, p.now())
	p.changed()
	p.mu.Unlock()
}

// cut closes both connections at once.
func (p *pumps) cut() {
	p.mu.Lock()
	p.core.ending(TheRelay, "cut", p.now())
	p.core.die()
	p.changed()
	p.mu.Unlock()
}

// run carries the lane of s until nothing can come of it any more.
func (p *pumps) run(s side) {
	var b buffer
	l := &p.core.lanes[s]
	p.mu.Lock()
	for !p.core.dead && (len(l.wait) > 0 || l.shutDue || !l.ended) {
		switch {
		case len(l.wait) > 0:
			p.write(s)
		case l.shutDue:
			p.shut(s)
		case len(l.first) > 0:
			n := copy(b.next(), l.first)
			l.first = l.first[n:]
			p.core.got(s, b.bytes, n, p.now())
		default:
			p.read(s, &b)
		}
		if p.core.changed {
			p.changed()
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

func (p *pumps) unsent(s side) int { return wsconn.Unsent(p.conns[s]) }

// look does what is due while the tunnel ends: both pumps may be waiting for
// something else.
func (p *pumps) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left == 0 || p.core.dead {
		return
	}
	p.core.tick(p.now())
	p.core.changed = true
	p.changed()
	if p.core.following != nil && !p.core.dead {
		p.timer.Reset(p.core.grace / wsconn.Looks)
	}
}

// split interrupts writes that are under way, so that they go on in pieces
// whose progress can be seen. A write of TLS is never longer than one.
func (p *pumps) split() {
	for s := range p.pumps {
		if to := p.conns[side(s).other()]; p.pumps[s].writing && to == netConn(to) {
			p.setWrite(side(s), woken)
		}
	}
}

// finish tells the owner, when both connections are closed.
func (p *pumps) finish() {
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

// read waits for bytes of s, at most as long as nothing else is to be done.
func (p *pumps) read(s side, b *buffer) {
	p.armRead(s)
	conn, space := p.conns[s], b.next()
	p.pumps[s].reading = true
	p.mu.Unlock()
	n, err := conn.Read(space)
	p.relay.loops.WaitPaused()
	p.mu.Lock()
	p.pumps[s].reading = false
	now := p.now()
	if n > 0 {
		b.filled(n)
		p.core.got(s, b.bytes, n, now)
	}
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		p.core.tick(now)
		p.core.changed = true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // of TLS: it was not told, but frames tell enough
		p.core.finished(s, nil, now)
	default:
		p.core.finished(s, err, now)
	}
}

// write writes what waits in the lane of s.
func (p *pumps) write(s side) {
	l := &p.core.lanes[s]
	conn, wait := p.conns[s.other()], l.wait
	if p.core.following != nil || conn != netConn(conn) {
		wait = wait[:min(len(wait), piece)]
	}
	p.setWrite(s, p.writeBy(s))
	l.flight = true
	p.pumps[s].writing = true
	p.mu.Unlock()
	begun := p.now()
	n, err := conn.Write(wait)
	p.mu.Lock()
	p.pumps[s].writing = false
	now := p.now()
	if s == upstream && now >= begun+slowWrite && p.unsent(client) >= lag {
		p.core.lagged = now
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.core.wrote(s, n, nil, now)
		p.core.tick(now)
		p.core.changed = true
		return
	}
	p.core.wrote(s, n, err, now)
}

// shut tells the destination of s's lane that nothing more comes.
func (p *pumps) shut(s side) {
	conn := p.conns[s.other()]
	p.mu.Unlock()
	err := wsconn.CloseWrite(conn)
	p.mu.Lock()
	p.core.wasShut(s, err, p.now())
}

// changed does what the core wants done, besides writing: it closes, wakes
// pumps that wait for something that is no longer to be waited for, and makes
// the calls. It holds mu, but not while calling.
func (p *pumps) changed() {
	c := p.core
	for c.changed || len(c.calls) > 0 {
		c.changed = false
		if c.following != nil && p.timer == nil {
			p.timer = time.AfterFunc(c.grace/wsconn.Looks, p.look)
			p.split()
		}
		for s := range c.cut {
			if c.dead || c.cut[s] {
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

// close closes the connection of s. After a normal end of the tunnel, and if
// bytes are still on their way to s, it first drops what has come from s and
// was not read: that would have the kernel reset the connection, and s lose
// those bytes. It holds mu.
func (p *pumps) close(s side) {
	conn := netConn(p.conns[s])
	if p.core.following != nil && !p.core.lanes[s].ended && p.unsent(s) > 0 {
		eventloop.DropUnread(conn, dropSize)
	}
	_ = conn.Close()
}

// rearm has the pump of s see what has changed.
func (p *pumps) rearm(s side) {
	pump, l := &p.pumps[s], &p.core.lanes[s]
	switch {
	case pump.reading && (l.shutDue || !l.wants()):
		p.setRead(s, woken)
	case pump.reading:
		p.armRead(s)
	case pump.writing && (l.phase == cutting || l.phase == dropping):
		p.setWrite(s, woken)
	case pump.writing && pump.writeBy != woken && p.writeBy(s) != pump.writeBy:
		p.setWrite(s, p.writeBy(s))
	}
}

// armRead sets the deadline for reading from s, unless there is an earlier one.
func (p *pumps) armRead(s side) {
	at := p.readBy(s)
	if have := p.pumps[s].readBy; have != at && (have > at || have <= p.now()) {
		p.setRead(s, at)
	}
}

// readBy is until when the pump of s may wait for bytes: the one that reads
// from the upstream keeps the time of the tunnel.
func (p *pumps) readBy(s side) time.Duration {
	at := p.core.next()
	if s == client {
		at = p.core.deadline
	}
	if at == never {
		return 0
	}
	return at
}

// writeBy is until when the pump of s may wait for its destination.
func (p *pumps) writeBy(s side) time.Duration {
	if p.core.following != nil { // look ends it before, and a write of TLS that ran out of time cannot go on
		return p.core.following.endedAt + wsconn.Longest
	}
	at := p.core.lanes[s].since + p.core.stallAfter
	if p.core.deadline > 0 {
		at = min(at, p.core.deadline)
	}
	if s == upstream && p.core.half > 0 {
		at = min(at, p.core.half)
	}
	return at
}

func (p *pumps) setRead(s side, at time.Duration) {
	p.pumps[s].readBy = at
	_ = p.conns[s].SetReadDeadline(p.time(at))
}

func (p *pumps) setWrite(s side, at time.Duration) {
	p.pumps[s].writeBy = at
	_ = p.conns[s.other()].SetWriteDeadline(p.time(at))
}

func (p *pumps) time(at time.Duration) time.Time {
	switch at {
	case 0:
		return time.Time{}
	case woken:
		return past
	}
	return p.relay.epoch.Add(at)
}
