package relay

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"wsauth/internal/connlimit"
	"wsauth/internal/eventloop"
	"wsauth/internal/wsconn"
)

// looped is a tunnel that a loop carries.
//
// Epoll tells of changes only (EPOLLET): what a socket has to give, or can take,
// is remembered until it has given, or taken, all.
type looped struct {
	loop   *loop
	tunnel *Tunnel
	core   *core // of the tunnel
	timed  timed
	lanes  [2]loopedLane // by the side that is read
	added  bool          // the loop knows of it
	obeyed bool          // End was
	closed bool
}

// A loopedLane is what a loop knows of a lane, and of the socket it reads from.
type loopedLane struct {
	fd       int32
	place    *connlimit.Place // of the client; released with fd
	watched  bool             // the loop's epoll knows the socket
	readable bool             // there is something to read
	final    bool             // likewise, up to the end of the stream or an error
	queued   bool             // in again
	blocked  bool             // the destination takes nothing
	fresh    bool             // what waits may be in the loop's buffer
	signals  bool             // the socket is asked to tell when it takes something again
	borrowed *[room + readSize]byte
}

var borrowable = sync.Pool{New: func() any { return new([room + readSize]byte) }}

// start has epoll tell of both sockets, and returns when the tunnel has something to do, if nothing happens before.
func (d *looped) start() time.Duration {
	now, due := time.Since(d.loop.born), d.core.next()
	for s := range d.lanes {
		if !d.lanes[s].watched {
			if err := d.loop.poll.watch(d.lanes[s].fd, unix.EPOLL_CTL_ADD, 0); err != nil {
				d.core.finished(side(s), err, now)
				due = 0
			}
		}
		if len(d.core.lanes[s].first) > 0 {
			due = 0
		}
	}
	return due
}

// add begins.
func (d *looped) add() {
	d.added = true
	for s := range d.lanes {
		lane := &d.lanes[s]
		if before, ok := d.loop.taskOf(lane.fd).(*arrival); ok && lane.watched {
			lane.readable, lane.final = before.readable || before.final, before.final
		}
		d.loop.assign(lane.fd, d)
	}
	d.core.changed = true // settled does everything for the first time
	d.settled()
}

// sideOf is the side whose socket fd is.
func (d *looped) sideOf(fd int32) side {
	if fd == d.lanes[client].fd {
		return client
	}
	return upstream
}

// event takes what epoll told of one of the sockets.
func (d *looped) event(fd int32, events uint32) {
	s := d.sideOf(fd)
	from, to := &d.lanes[s], &d.lanes[s.other()]
	final := events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	if final || events&unix.EPOLLIN != 0 {
		from.readable = true
		from.final = from.final || final
		d.work(s)
	}
	if to.blocked && events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		d.noteLag()
		to.blocked = false
		d.work(s.other())
	}
	d.settled()
}

// again goes on with s, whose turn was over.
func (d *looped) again(s side) {
	d.lanes[s].queued = false
	d.work(s)
	d.settled()
}

// tick does what is due.
func (d *looped) tick() {
	d.loop.timers.remove(&d.timed)
	d.core.tick(d.loop.now)
	d.core.changed = true
	d.settled()
}

// work moves the bytes of s's lane as long as it can.
func (d *looped) work(s side) {
	lane, l := &d.lanes[s], &d.core.lanes[s]
	for reads := 0; !d.core.dead; {
		switch {
		case s == client && !d.obeyed && d.tunnel.ended.Load():
			return // nothing more goes to the upstream until End, which is on its way, is obeyed
		case len(l.wait) > 0:
			if lane.blocked || !d.write(s) {
				return
			}
		case l.shutDue:
			d.core.wasShut(s, unix.Shutdown(int(d.lanes[s.other()].fd), unix.SHUT_WR), d.loop.now)
		case !l.wants():
			return
		case len(l.first) > 0:
			n := copy(d.loop.buffer[room:], l.first)
			if l.first = l.first[n:]; len(l.first) == 0 {
				l.first = nil
			}
			lane.fresh = true
			d.core.got(s, d.loop.buffer, n, d.loop.now)
		case !lane.readable:
			return
		case reads == turn:
			if !lane.queued {
				lane.queued = true
				d.loop.again = append(d.loop.again, turnOf{d, s})
			}
			return
		default:
			reads++
			d.read(s)
		}
	}
}

// read reads what there is, as far as the buffer goes.
func (d *looped) read(s side) {
	lane := &d.lanes[s]
	if s == client {
		d.noteLag()
	}
	n, err := eventloop.Recv(lane.fd, d.loop.buffer[room:])
	switch {
	case n > 0:
		// Less than there was room for is all there was; what comes later is
		// told of anew, but for an end that was told of already.
		lane.readable = n == readSize || lane.final
		lane.fresh = true
		d.core.got(s, d.loop.buffer, n, d.loop.now)
	case errors.Is(err, unix.EAGAIN):
		lane.readable, lane.final = false, false
	default:
		lane.readable = false
		d.core.finished(s, err, d.loop.now)
	}
}

// write writes what waits in s's lane, and reports whether there may be more to
// do for it.
func (d *looped) write(s side) bool {
	l := &d.core.lanes[s]
	n, err := eventloop.Send(d.lanes[s.other()].fd, l.wait)
	if err != nil && errors.Is(err, unix.EAGAIN) {
		d.block(s)
		return false
	}
	d.core.wrote(s, n, err, d.loop.now)
	if len(l.wait) == 0 {
		d.giveBack(s)
	}
	return true
}

// noteLag tells the core when the client takes nothing.
func (d *looped) noteLag() {
	if d.lanes[upstream].blocked {
		d.core.lagged = d.loop.now
	}
}

// block keeps what waits in s's lane until its destination takes it.
func (d *looped) block(s side) {
	lane, to, l := &d.lanes[s], &d.lanes[s.other()], &d.core.lanes[s]
	lane.blocked = true
	if lane.fresh {
		lane.fresh = false
		if lane.borrowed == nil {
			lane.borrowed = borrowable.Get().(*[room + readSize]byte)
		}
		l.wait = lane.borrowed[:copy(lane.borrowed[:], l.wait)]
	}
	if !to.signals {
		to.signals = true
		if err := d.loop.poll.watch(to.fd, unix.EPOLL_CTL_MOD, unix.EPOLLOUT); err != nil {
			d.core.finished(s.other(), err, d.loop.now)
		}
	}
	d.loop.timers.set(&d.timed, d.core.next())
}

// giveBack gives back what was borrowed for s's lane.
func (d *looped) giveBack(s side) {
	if lane := &d.lanes[s]; lane.borrowed != nil {
		borrowable.Put(lane.borrowed)
		lane.borrowed = nil
	}
}

// end is Tunnel.End.
func (d *looped) end(frame []byte, said func()) {
	ordered := d.loop.order(func() {
		d.obeyed = true
		d.core.end(frame, said, d.loop.now)
		d.settled()
	})
	if !ordered && said != nil {
		said()
	}
}

func (d *looped) unsent(s side) int {
	if d.lanes[s].fd < 0 {
		return 0
	}
	return wsconn.UnsentOf(uintptr(d.lanes[s].fd)) //nolint:gosec // a descriptor is not negative
}

// drain drops what has come from s, so that closing does not reset the
// connection and lose what s has not read.
func (d *looped) drain(s side) {
	for range turn {
		if n, err := eventloop.Recv(d.lanes[s].fd, d.loop.buffer[room:]); n == 0 || err != nil {
			return
		}
	}
}

// kill closes both sockets at once.
func (d *looped) kill(now time.Duration) {
	d.core.ending(TheRelay, "cut", now)
	d.core.die()
	d.settled()
}

// settled does what the core wants done after something has changed. What it
// calls may order more, but changes nothing at once.
func (d *looped) settled() {
	c := d.core
	if !c.changed && len(c.calls) == 0 || d.closed {
		d.call()
		return
	}
	for c.changed && !c.dead {
		c.changed = false
		if c.cut[upstream] {
			d.shutSocket(upstream)
		}
		d.work(client)
		d.work(upstream)
	}
	if c.dead {
		d.close()
		return
	}
	d.loop.timers.set(&d.timed, c.next())
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

// close is the end.
func (d *looped) close() {
	d.closed = true
	d.loop.timers.remove(&d.timed)
	for s := range d.lanes {
		if d.core.following != nil && !d.core.lanes[s].ended && d.lanes[s].fd >= 0 {
			d.drain(side(s))
		}
		d.shutSocket(side(s))
		d.giveBack(side(s))
	}
	d.call()
	if d.core.pair.Closed != nil {
		d.core.pair.Closed(d.core.result())
	}
}

func (d *looped) shutSocket(s side) {
	if fd := &d.lanes[s].fd; *fd >= 0 {
		if d.added {
			d.loop.of[*fd] = nil
		}
		_ = unix.Close(int(*fd))
		*fd = -1
		d.lanes[s].place.Release()
	}
}
