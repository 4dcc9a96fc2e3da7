package eventloop

import (
	"errors"
	"net"
	"os"
	"time"
)

// Errors of waits that end before any bytes arrive.
var (
	ErrCanceled = errors.New("the wait was canceled")
	ErrClosed   = errors.New("the event loop is closed")
)

// cancelCheck is the time between two calls of Wait.Canceled.
const cancelCheck = 100 * time.Millisecond

// A wait is the handler of a connection whose first bytes are awaited. Once it
// is done, it still records events until another handler replaces it, because
// epoll reports each event only once.
type wait struct {
	loop     *Loop
	timer    Timer
	socket   Socket // shares the connection's descriptor
	until    time.Duration
	canceled func() bool // may be nil
	receiver Receiver    // nil once the wait is done
	watchErr error       // why epoll does not watch the socket
}

// Await makes a loop wait for the first bytes of conn, which must be a [Conn].
// If a loop already watches near, for example the other connection of a tunnel,
// Await uses that loop. It reports false, and does nothing, if no loop can
// wait. Otherwise the loop calls w.Receiver.
func (g *Group) Await(conn, near net.Conn, w Wait) bool {
	c, l := connOf(conn), g.For(near)
	if c == nil || l == nil {
		return false
	}
	fd, ok := c.watch(l)
	if !ok {
		return false
	}
	return l.await(NewSocket(fd), w)
}

// await waits for the first bytes of s.
func (l *Loop) await(s Socket, w Wait) bool {
	a := &wait{loop: l, socket: s, until: l.Elapsed() + w.Limit, canceled: w.Canceled, receiver: w.Receiver}
	a.timer.Handler = a
	return l.Adopt(a.start, a.add)
}

// start registers the socket with epoll, and returns when the timer is due.
func (w *wait) start() time.Duration {
	if err := w.loop.Watch(&w.socket); err != nil {
		w.watchErr, w.until = err, 0
	}
	return w.next()
}

// add registers w for the events of the socket.
func (w *wait) add() {
	w.loop.Add(&w.socket, w)
	w.loop.SetTimer(&w.timer, w.next())
}

// next returns when the timer is due.
func (w *wait) next() time.Duration {
	if w.canceled == nil {
		return w.until
	}
	return min(w.until, w.loop.Elapsed()+cancelCheck)
}

// Event implements [Handler].
func (w *wait) Event(_ int32, e Events) {
	w.socket.NoteReadable(e)
	for w.receiver != nil && w.socket.CanRead() {
		data := w.loop.Buffer[Headroom:]
		n, err := w.socket.Read(data)
		if !errors.Is(err, ErrNotReady) {
			w.deliver(data[:n], err)
		}
	}
}

// Tick implements [Handler].
func (w *wait) Tick() {
	switch {
	case w.watchErr != nil:
		w.deliver(nil, w.watchErr)
	case w.loop.now >= w.until:
		w.deliver(nil, os.ErrDeadlineExceeded)
	case w.canceled != nil && w.canceled():
		w.deliver(nil, ErrCanceled)
	default:
		w.loop.SetTimer(&w.timer, w.next())
	}
}

// Stop implements [Handler].
func (w *wait) Stop() { w.deliver(nil, ErrClosed) }

// deliver calls the Receiver, unless the wait is done.
func (w *wait) deliver(data []byte, err error) {
	if w.receiver == nil {
		return
	}
	more := w.receiver.Received(data, w.loop.idle(), err)
	w.loop.StopTimer(&w.timer)
	if more <= 0 || err != nil {
		w.receiver, w.canceled = nil, nil
		return
	}
	w.until = w.loop.Elapsed() + more
	w.loop.SetTimer(&w.timer, w.next())
}
