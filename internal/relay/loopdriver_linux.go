package relay

import (
	"errors"
	"io"
	"sync"
	"time"

	"wsauth/internal/eventloop"
)

// A loopDriver carries a tunnel on an event loop.
type loopDriver struct {
	loop         *eventloop.Loop
	tunnel       *Tunnel
	core         *core // the tunnel's
	timer        eventloop.Timer
	sockets      [2]eventloop.Socket
	borrowed     [2]*[headroom + eventloop.ReadSize]byte // holds the pending bytes of a lane
	inLoopBuffer [2]bool                                 // the pending bytes of a lane may be in the loop's buffer
	queued       [2]bool                                 // the side is queued for another turn
	endReceived  bool                                    // the loop has received the call of End
	closed       bool
}

var borrowable = sync.Pool{New: func() any { return new([headroom + eventloop.ReadSize]byte) }}

// carry starts to carry t between the connections of p on a loop. It reports
// false if there is no loop, if one of the connections is not a plain socket,
// or if no descriptor is left.
func (r *Relay) carry(t *Tunnel, p Pair) bool {
	from, to := p.Client, p.Upstream
	if !eventloop.IsSocket(from) || !eventloop.IsSocket(to) {
		return false
	}
	l := r.loops.For(from, to)
	if l == nil {
		return false
	}
	d := &loopDriver{loop: l, tunnel: t, core: &t.core}
	d.timer.Handler = d
	var ok bool
	if d.sockets[client], ok = l.Take(from); !ok {
		return false
	}
	if d.sockets[upstream], ok = l.Take(to); !ok {
		l.GiveBack(from, d.sockets[client])
		return false
	}
	// The loop has taken or duplicated the descriptors, so the sockets stay
	// open. Closing removes them from the runtime's poller, which would
	// otherwise wake up for every message.
	_ = from.Close()
	_ = to.Close()
	t.driver = d
	if !l.Adopt(d.start, d.add) {
		d.Stop()
	}
	return true
}

// start registers both sockets with epoll, and returns when the timer of the
// tunnel is due.
func (d *loopDriver) start() time.Duration {
	now, due := d.loop.Elapsed(), d.core.next()
	for s := range d.sockets {
		if err := d.loop.Watch(&d.sockets[s]); err != nil {
			d.core.finished(side(s), err, now)
			due = 0
		}
		if len(d.core.lanes[s].early) > 0 {
			due = 0
		}
	}
	return due
}

// add registers d for the events of both sockets.
func (d *loopDriver) add() {
	for s := range d.sockets {
		d.loop.Add(&d.sockets[s], d)
	}
	d.core.changed = true // so that apply starts both lanes
	d.apply()
}

// sideOf returns the side whose socket has the descriptor fd.
func (d *loopDriver) sideOf(fd int32) side {
	if fd == d.sockets[client].FD() {
		return client
	}
	return upstream
}

// Event implements [eventloop.Handler].
func (d *loopDriver) Event(fd int32, e eventloop.Events) {
	s := d.sideOf(fd)
	socket := &d.sockets[s]
	switch {
	case e == 0: // another turn
		d.queued[s] = false
		d.moveBytes(s)
	case socket.NoteReadable(e):
		d.moveBytes(s)
	}
	if socket.Unblocks(e) {
		d.noteLag()
		socket.Unblock()
		d.moveBytes(s.other())
	}
	d.apply()
}

// Tick implements [eventloop.Handler].
func (d *loopDriver) Tick() {
	d.core.tick(d.loop.Now())
	d.core.changed = true
	d.apply()
}

// Stop implements [eventloop.Handler]. It closes both sockets at once.
func (d *loopDriver) Stop() {
	d.core.recordEnd(TheRelay, "cut", d.loop.Elapsed())
	d.core.markDead()
	d.apply()
}

// moveBytes moves the bytes of s's lane until it would block or its turn ends.
func (d *loopDriver) moveBytes(s side) {
	l := &d.core.lanes[s]
	for reads := 0; !d.core.dead; {
		switch {
		case s == client && !d.endReceived && d.tunnel.endCalled.Load():
			return // End was called, but its posted function has not run: nothing more may reach the upstream
		case len(l.pending) > 0:
			if d.sockets[s.other()].Blocked() || !d.write(s) {
				return
			}
		case l.halfCloseDue:
			d.core.halfClosed(s, d.sockets[s.other()].CloseWrite(), d.loop.Now())
		case !l.wantsRead():
			return
		case len(l.early) > 0:
			buf := d.buffer()
			n := copy(buf[headroom:], l.early)
			if l.early = l.early[n:]; len(l.early) == 0 {
				l.early = nil
			}
			d.inLoopBuffer[s] = true
			d.core.received(s, buf, n, d.loop.Now())
		case !d.sockets[s].CanRead():
			return
		case reads == eventloop.Turn:
			if !d.queued[s] {
				d.queued[s] = true
				d.loop.Again(d, d.sockets[s].FD())
			}
			return
		default:
			reads++
			d.read(s)
		}
	}
}

// buffer returns the loop's buffer, with headroom in front of the bytes read.
func (d *loopDriver) buffer() []byte { return d.loop.Buffer[eventloop.Headroom-headroom:] }

// read reads once from s.
func (d *loopDriver) read(s side) {
	if s == client {
		d.noteLag()
	}
	buf := d.buffer()
	n, err := d.sockets[s].Read(buf[headroom:])
	switch {
	case n > 0:
		d.inLoopBuffer[s] = true
		d.core.received(s, buf, n, d.loop.Now())
	case errors.Is(err, eventloop.ErrNotReady):
	case errors.Is(err, io.EOF):
		d.core.finished(s, nil, d.loop.Now())
	default:
		d.core.finished(s, err, d.loop.Now())
	}
}

// write writes the pending bytes of s's lane. It reports false if the
// destination would block.
func (d *loopDriver) write(s side) bool {
	l := &d.core.lanes[s]
	n, err := d.sockets[s.other()].Write(l.pending)
	if err != nil && errors.Is(err, eventloop.ErrNotReady) {
		d.block(s)
		return false
	}
	d.core.wrote(s, n, err, d.loop.Now())
	if len(l.pending) == 0 {
		d.releaseBuffer(s)
	}
	return true
}

// noteLag records that the client is behind, if its socket is blocked.
func (d *loopDriver) noteLag() {
	if d.sockets[client].Blocked() {
		d.core.lag.laggedAt = d.loop.Now()
	}
}

// block waits until the destination of s's lane is writable, and moves the
// pending bytes out of the loop's buffer until then.
func (d *loopDriver) block(s side) {
	l := &d.core.lanes[s]
	if d.inLoopBuffer[s] {
		d.inLoopBuffer[s] = false
		if d.borrowed[s] == nil {
			d.borrowed[s] = borrowable.Get().(*[headroom + eventloop.ReadSize]byte)
		}
		l.pending = d.borrowed[s][:copy(d.borrowed[s][:], l.pending)]
	}
	if err := d.loop.Block(&d.sockets[s.other()]); err != nil {
		d.core.finished(s.other(), err, d.loop.Now())
	}
	d.loop.SetTimer(&d.timer, d.core.next())
}

// releaseBuffer returns the buffer that block borrowed for s's lane.
func (d *loopDriver) releaseBuffer(s side) {
	if d.borrowed[s] != nil {
		borrowable.Put(d.borrowed[s])
		d.borrowed[s] = nil
	}
}

// end implements driver.
func (d *loopDriver) end(frame []byte, sent func()) {
	posted := d.loop.Post(func() {
		d.endReceived = true
		d.core.end(frame, sent, d.loop.Now())
		d.apply()
	})
	if !posted && sent != nil {
		sent()
	}
}

// unsent implements driver.
func (d *loopDriver) unsent(s side) int { return d.sockets[s].Unsent() }

// apply does what the core asks for after a change. The core's calls may post
// functions to the loop, but must not change the tunnel directly.
func (d *loopDriver) apply() {
	c := d.core
	if !c.changed && len(c.calls) == 0 || d.closed {
		d.runCalls()
		return
	}
	for c.changed && !c.dead {
		c.changed = false
		if c.lanes[upstream].cut {
			d.loop.Close(&d.sockets[upstream])
		}
		d.moveBytes(client)
		d.moveBytes(upstream)
	}
	if c.dead {
		d.close()
		return
	}
	d.loop.SetTimer(&d.timer, c.next())
	d.runCalls()
}

// runCalls makes the calls that the core asks for.
func (d *loopDriver) runCalls() {
	calls := d.core.calls
	d.core.calls = nil
	for _, call := range calls {
		call()
	}
}

// close closes both sockets. After a normal end it first discards the unread
// bytes from each peer: otherwise the kernel would reset the connection, and
// the peer would lose bytes that it has not read.
func (d *loopDriver) close() {
	d.closed = true
	d.loop.StopTimer(&d.timer)
	for s := range d.sockets {
		if d.core.draining != nil && !d.core.lanes[s].ended && d.sockets[s].FD() >= 0 {
			d.sockets[s].Drop(dropSize)
		}
		d.loop.Close(&d.sockets[s])
		d.releaseBuffer(side(s))
	}
	d.runCalls()
	if d.core.onClosed != nil {
		d.core.onClosed(d.core.result())
	}
}
