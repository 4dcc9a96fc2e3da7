package relay

import (
	"errors"
	"io"
	"sync"
	"time"

	"wsauth/internal/eventloop"
)

// looped is a tunnel that an event loop carries.
type looped struct {
	loop     *eventloop.Loop
	tunnel   *Tunnel
	core     *core // of the tunnel
	timer    eventloop.Timer
	sockets  [2]eventloop.Socket
	borrowed [2]*[room + eventloop.ReadSize]byte // for what waits in a lane
	fresh    [2]bool                             // what waits in a lane may be in the loop's buffer
	queued   [2]bool                             // a side has asked for another turn
	obeyed   bool                                // the loop knows that End was called
	closed   bool
}

var borrowable = sync.Pool{New: func() any { return new([room + eventloop.ReadSize]byte) }}

// carry makes a loop carry t between the connections of p. It reports false if
// there is no loop, if one of the connections is more than a socket, or if the
// system has no descriptor left.
func (r *Relay) carry(t *Tunnel, p Pair) bool {
	from, to := p.Client, p.Upstream
	if !eventloop.IsSocket(from) || !eventloop.IsSocket(to) {
		return false
	}
	l := r.loops.For(from, to)
	if l == nil {
		return false
	}
	d := &looped{loop: l, tunnel: t, core: &t.core}
	d.timer.Handler = d
	var ok bool
	if d.sockets[client], ok = l.Take(from); !ok {
		return false
	}
	if d.sockets[upstream], ok = l.Take(to); !ok {
		l.GiveBack(from, d.sockets[client])
		return false
	}
	// Their sockets stay open. This removes them from the runtime's poller,
	// which would be woken for each message.
	_ = from.Close()
	_ = to.Close()
	t.driver = d
	if !l.Adopt(d.start, d.add) {
		d.Stop()
	}
	return true
}

// start has epoll watch both sockets, and returns when the tunnel has
// something to do if nothing comes.
func (d *looped) start() time.Duration {
	now, due := d.loop.Elapsed(), d.core.next()
	for s := range d.sockets {
		if err := d.loop.Watch(&d.sockets[s]); err != nil {
			d.core.finished(side(s), err, now)
			due = 0
		}
		if len(d.core.lanes[s].first) > 0 {
			due = 0
		}
	}
	return due
}

// add makes the loop handle the events of both sockets.
func (d *looped) add() {
	for s := range d.sockets {
		d.loop.Add(&d.sockets[s], d)
	}
	d.core.changed = true // so that settle does everything for the first time
	d.settle()
}

// sideOf returns the side whose socket has a descriptor.
func (d *looped) sideOf(fd int32) side {
	if fd == d.sockets[client].FD() {
		return client
	}
	return upstream
}

// Event implements [eventloop.Handler].
func (d *looped) Event(fd int32, e eventloop.Events) {
	s := d.sideOf(fd)
	socket := &d.sockets[s]
	switch {
	case e == 0: // another turn
		d.queued[s] = false
		d.work(s)
	case socket.NoteReadable(e):
		d.work(s)
	}
	if socket.Unblocks(e) {
		d.noteLag()
		socket.Unblock()
		d.work(s.other())
	}
	d.settle()
}

// Tick implements [eventloop.Handler].
func (d *looped) Tick() {
	d.core.tick(d.loop.Now())
	d.core.changed = true
	d.settle()
}

// Stop implements [eventloop.Handler]. It closes both sockets at once.
func (d *looped) Stop() {
	d.core.ending(TheRelay, "cut", d.loop.Elapsed())
	d.core.die()
	d.settle()
}

// work moves the bytes of s's lane as long as it can.
func (d *looped) work(s side) {
	l := &d.core.lanes[s]
	for reads := 0; !d.core.dead; {
		switch {
		case s == client && !d.obeyed && d.tunnel.ended.Load():
			return // nothing more goes to the upstream: the call of end is on its way to the loop
		case len(l.wait) > 0:
			if d.sockets[s.other()].Blocked() || !d.write(s) {
				return
			}
		case l.shutDue:
			d.core.wasShut(s, d.sockets[s.other()].CloseWrite(), d.loop.Now())
		case !l.wants():
			return
		case len(l.first) > 0:
			buf := d.buffer()
			n := copy(buf[room:], l.first)
			if l.first = l.first[n:]; len(l.first) == 0 {
				l.first = nil
			}
			d.fresh[s] = true
			d.core.got(s, buf, n, d.loop.Now())
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

// buffer returns the buffer of the loop, with room before what is read.
func (d *looped) buffer() []byte { return d.loop.Buffer[eventloop.Headroom-room:] }

// read reads what there is, as far as the buffer goes.
func (d *looped) read(s side) {
	if s == client {
		d.noteLag()
	}
	buf := d.buffer()
	n, err := d.sockets[s].Read(buf[room:])
	switch {
	case n > 0:
		d.fresh[s] = true
		d.core.got(s, buf, n, d.loop.Now())
	case errors.Is(err, eventloop.ErrNotReady):
	case errors.Is(err, io.EOF):
		d.core.finished(s, nil, d.loop.Now())
	default:
		d.core.finished(s, err, d.loop.Now())
	}
}

// write writes what waits in s's lane, and reports whether there may be more
// to do for it.
func (d *looped) write(s side) bool {
	l := &d.core.lanes[s]
	n, err := d.sockets[s.other()].Write(l.wait)
	if err != nil && errors.Is(err, eventloop.ErrNotReady) {
		d.block(s)
		return false
	}
	d.core.wrote(s, n, err, d.loop.Now())
	if len(l.wait) == 0 {
		d.giveBack(s)
	}
	return true
}

// noteLag records that the client is behind, if it takes nothing.
func (d *looped) noteLag() {
	if d.sockets[client].Blocked() {
		d.core.lagged = d.loop.Now()
	}
}

// block keeps what waits in s's lane until its destination takes it.
func (d *looped) block(s side) {
	l := &d.core.lanes[s]
	if d.fresh[s] {
		d.fresh[s] = false
		if d.borrowed[s] == nil {
			d.borrowed[s] = borrowable.Get().(*[room + eventloop.ReadSize]byte)
		}
		l.wait = d.borrowed[s][:copy(d.borrowed[s][:], l.wait)]
	}
	if err := d.loop.Block(&d.sockets[s.other()]); err != nil {
		d.core.finished(s.other(), err, d.loop.Now())
	}
	d.loop.SetTimer(&d.timer, d.core.next())
}

// giveBack returns the buffer that block has borrowed for s's lane.
func (d *looped) giveBack(s side) {
	if d.borrowed[s] != nil {
		borrowable.Put(d.borrowed[s])
		d.borrowed[s] = nil
	}
}

// end implements driver.
func (d *looped) end(frame []byte, said func()) {
	posted := d.loop.Post(func() {
		d.obeyed = true
		d.core.end(frame, said, d.loop.Now())
		d.settle()
	})
	if !posted && said != nil {
		said()
	}
}

// unsent implements driver.
func (d *looped) unsent(s side) int { return d.sockets[s].Unsent() }

// settle does what the core wants done after a change. The functions that it
// calls may post more to the loop, but change nothing at once.
func (d *looped) settle() {
	c := d.core
	if !c.changed && len(c.calls) == 0 || d.closed {
		d.call()
		return
	}
	for c.changed && !c.dead {
		c.changed = false
		if c.cut[upstream] {
			d.loop.Close(&d.sockets[upstream])
		}
		d.work(client)
		d.work(upstream)
	}
	if c.dead {
		d.close()
		return
	}
	d.loop.SetTimer(&d.timer, c.next())
	d.call()
}

// call makes the calls that the core wants made.
func (d *looped) call() {
	calls := d.core.calls
	d.core.calls = nil
	for _, call := range calls {
		call()
	}
}

// close ends the tunnel. After a normal end it drops what a peer has sent and
// was not read: otherwise the kernel would reset the connection, and the peer
// lose what it has not read.
func (d *looped) close() {
	d.closed = true
	d.loop.StopTimer(&d.timer)
	for s := range d.sockets {
		if d.core.following != nil && !d.core.lanes[s].ended && d.sockets[s].FD() >= 0 {
			d.sockets[s].Drop(dropSize)
		}
		d.loop.Close(&d.sockets[s])
		d.giveBack(side(s))
	}
	d.call()
	if d.core.onClosed != nil {
		d.core.onClosed(d.core.result())
	}
}
