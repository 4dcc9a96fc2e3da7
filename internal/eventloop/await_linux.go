package eventloop

import (
	"errors"
	"net"
	"os"
	"time"
)

// The errors of waits that end before anything has come.
var (
	ErrOver   = errors.New("the wait was given up")
	ErrClosed = errors.New("the event loop is closed")
)

// overCheck is the time between two calls of Wait.Over.
const overCheck = 100 * time.Millisecond

// A wait is the handler of a connection whose first bytes are waited for. When
// it is over, it goes on recording what epoll reports, which it does once,
// until another handler takes its place.
type wait struct {
	loop   *Loop
	timer  Timer
	socket Socket // its descriptor is the connection's
	until  time.Duration
	over   func() bool // may be nil
	to     Receiver    // nil when it is over
	fault  error       // epoll does not watch the socket
}

// Await makes a loop wait for the first bytes of conn, a [Conn]. The loop is
// the one that watches near, such as the connection at the other end of a
// tunnel, or the next in turn. Await reports false, and does nothing, if no
// loop can do that. Once it has reported true, w.To is called.
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
	a := &wait{loop: l, socket: s, until: l.Elapsed() + w.Limit, over: w.Over, to: w.To}
	a.timer.Handler = a
	return l.Adopt(a.start, a.add)
}

// start has epoll watch the socket, and returns when there is something to do
// if nothing comes.
func (w *wait) start() time.Duration {
	if err := w.loop.Watch(&w.socket); err != nil {
		w.fault, w.until = err, 0
	}
	return w.next()
}

// add makes the loop handle the events of the socket.
func (w *wait) add() {
	w.loop.Add(&w.socket, w)
	w.loop.SetTimer(&w.timer, w.next())
}

// next returns when there is something to do if nothing comes.
func (w *wait) next() time.Duration {
	if w.over == nil {
		return w.until
	}
	return min(w.until, w.loop.Elapsed()+overCheck)
}

// Event implements [Handler].
func (w *wait) Event(_ int32, e Events) {
	w.socket.NoteReadable(e)
	for w.to != nil && w.socket.CanRead() {
		data := w.loop.Buffer[Headroom:]
		n, err := w.socket.Read(data)
		if !errors.Is(err, ErrNotReady) {
			w.tell(data[:n], err)
		}
	}
}

// Tick implements [Handler].
func (w *wait) Tick() {
	switch {
	case w.fault != nil:
		w.tell(nil, w.fault)
	case w.loop.now >= w.until:
		w.tell(nil, os.ErrDeadlineExceeded)
	case w.over != nil && w.over():
		w.tell(nil, ErrOver)
	default:
		w.loop.SetTimer(&w.timer, w.next())
	}
}

// Stop implements [Handler].
func (w *wait) Stop() { w.tell(nil, ErrClosed) }

// tell passes on what has come, unless the wait is over.
func (w *wait) tell(data []byte, err error) {
	if w.to == nil {
		return
	}
	more := w.to.Received(data, w.loop.idle(), err)
	w.loop.StopTimer(&w.timer)
	if more <= 0 || err != nil {
		w.to, w.over = nil, nil
		return
	}
	w.until = w.loop.Elapsed() + more
	w.loop.SetTimer(&w.timer, w.next())
}
