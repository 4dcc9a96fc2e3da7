package eventloop

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ReadSize is how much one read may return. One buffer of this size is all
// that a loop needs, as long as what it reads is written at once.
const ReadSize = 64 << 10

// Headroom is the free space in [Loop.Buffer] before what is read, for bytes
// of earlier reads that belong before it.
const Headroom = 16

// Turn is how often a handler reads from one socket before it lets others have
// theirs, by [Loop.Again].
const Turn = 4

// few events at once are handled about as fast as a goroutine starts.
const few = 4

// A Handler handles the events of one or more sockets. Its loop calls all
// methods, so they must not block.
type Handler interface {
	// Event is called with the events of a socket, or with none after
	// [Loop.Again].
	Event(fd int32, e Events)

	// Tick is called when a [Timer] of the handler is due.
	Tick()

	// Stop is called at the end of the loop, once for each socket.
	Stop()
}

// A Loop handles the events of its sockets in one goroutine. Only functions
// that the loop calls may use it, apart from Post, Adopt and Elapsed.
type Loop struct {
	// Buffer has Headroom and ReadSize bytes for what is read, until the next
	// read of any socket.
	Buffer []byte

	group *Group
	poll  *poller
	bell  int32 // an eventfd
	holds bool  // it may wait by poller.hold
	ended chan struct{}

	mu     sync.Mutex
	posted []func()
	woken  bool
	closed bool // nothing more may be posted

	// The loop reads these two without mu, which it would take three times for
	// each event. Others set news, then read until. The loop sets until, then
	// reads news.
	news  atomic.Bool  // posted is not empty, or closed is new
	until atomic.Int64 // when the loop looks for news at the latest, unless it is woken; 0: soon

	now      time.Duration // of the events that are handled
	heard    time.Duration // when a handler last had an event
	busy     bool          // there were more than few events
	handlers []Handler     // by the descriptor of their sockets
	again    []turn        // for the next time
	timers   timers
}

// A turn is one that a handler wants for a socket.
type turn struct {
	handler Handler
	fd      int32
}

// start starts n loops, or as many as Options.Loops has by default.
func (g *Group) start(n int) error {
	procs := runtime.GOMAXPROCS(0)
	if n <= 0 {
		n = max(procs/2, 1)
	}
	for range n {
		l, err := newLoop(g)
		if err != nil {
			for _, l := range g.loops {
				l.release()
			}
			g.loops = nil
			return err
		}
		l.holds = procs > n
		g.loops = append(g.loops, l)
	}
	for _, l := range g.loops {
		go l.run()
	}
	return nil
}

// Close stops the handlers of all sockets, and returns when all loops have
// ended. A handler must not call it.
func (g *Group) Close() {
	for _, l := range g.loops {
		l.close()
	}
	for _, l := range g.loops {
		<-l.ended
	}
}

// For returns the loop that watches one of conns, or the connection beneath
// it. If there is none, it returns the next in turn; nil if the group has no
// loops.
func (g *Group) For(conns ...net.Conn) *Loop {
	for _, conn := range conns {
		if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
			conn = over.NetConn()
		}
		if c := connOf(conn); c != nil {
			if l := c.watcher(); l != nil && l.group == g {
				return l
			}
		}
	}
	if len(g.loops) == 0 {
		return nil
	}
	return g.loops[g.next.Add(1)%uint32(len(g.loops))]
}

func newLoop(g *Group) (*Loop, error) {
	poll, err := newPoller(g.epoch)
	if err != nil {
		return nil, err
	}
	l := &Loop{group: g, poll: poll, bell: -1, ended: make(chan struct{}), Buffer: make([]byte, Headroom+ReadSize)}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		l.bell = int32(bell)
		err = l.poll.watch(l.bell, unix.EPOLL_CTL_ADD, 0)
	}
	if err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

func (l *Loop) release() {
	if l.bell >= 0 {
		_ = unix.Close(int(l.bell))
	}
	l.poll.release()
}

// close makes the loop end.
func (l *Loop) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.news.Store(true)
	l.wake()
}

// Post makes the loop call f. It reports false, and does nothing, if the loop
// is closed. Any goroutine may call it.
func (l *Loop) Post(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.posted = append(l.posted, f)
	l.news.Store(true)
	l.wake()
	return true
}

// Adopt is Post for a function that gives the loop more sockets. It calls
// start first, which has epoll watch them and returns when the loop has
// something to do for them at the latest. To wake the loop would be a part of
// the cost of a handshake, so Adopt does that only if the loop would sleep for
// longer: the first event of one of the sockets wakes it as well.
func (l *Loop) Adopt(start func() time.Duration, f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.news.Store(true) // first: at an event of such a socket the loop waits for mu, and finds f
	due := start()
	l.posted = append(l.posted, f)
	if int64(due) < l.until.Load() {
		l.wake()
	}
	return true
}

// wake wakes the loop. l.mu must be held.
func (l *Loop) wake() {
	if !l.woken {
		l.woken = true
		_, _ = unix.Write(int(l.bell), []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// runPosted calls what was posted, and reports whether the loop is closed.
func (l *Loop) runPosted() (closed bool) {
	l.until.Store(0)
	if !l.news.Load() {
		return false
	}
	l.mu.Lock()
	posted, closed := l.posted, l.closed
	l.posted, l.woken = nil, false
	l.news.Store(false)
	l.mu.Unlock()
	for _, f := range posted {
		f()
	}
	return closed
}

// run is the loop. Its goroutine is not locked to a thread: each time the
// scheduler interrupts the loop, that would cost two switches of threads.
func (l *Loop) run() {
	defer close(l.ended)
	defer l.release()
	for {
		n := l.wait()
		l.busy = n > few
		l.group.WaitPaused()
		l.now = l.Elapsed()
		// What was posted comes first, since the events may be those of new
		// sockets. An event of a descriptor that is closed meanwhile is ignored:
		// the next to have its number is not known before the next posts.
		if l.runPosted() {
			break
		}
		for _, event := range l.poll.events[:n] {
			h := l.handler(event.Fd)
			if h == nil {
				l.poll.woke(event.Fd, l.now)
				continue
			}
			l.heard = l.now
			h.Event(event.Fd, Events(event.Events))
		}
		l.takeTurns()
		l.runTimers()
		if l.runPosted() { // by what was called above
			break
		}
	}
	for _, h := range l.handlers {
		if h != nil {
			h.Stop()
		}
	}
}

// wait waits for events, unless there is something else to do, and returns
// their number.
func (l *Loop) wait() int {
	due, holds := l.timers.next(), l.holds && l.now < l.heard+holding
	if holds {
		due = min(due, l.heard+holding)
	}
	switch {
	case len(l.again) > 0 || due <= l.now || !l.sleeps(due):
		return l.poll.peek()
	case holds:
		l.poll.wakeAt(due)
		return l.poll.hold()
	default:
		l.poll.wakeAt(due)
		return l.poll.rest()
	}
}

// sleeps records that the loop waits until a time, and reports whether it may:
// there is no news.
func (l *Loop) sleeps(until time.Duration) bool {
	l.until.Store(int64(until))
	return !l.news.Load()
}

// Now returns the time of the events that are handled.
func (l *Loop) Now() time.Duration { return l.now }

// Elapsed returns the time now. Any goroutine may call it.
func (l *Loop) Elapsed() time.Duration { return time.Since(l.group.epoch) }

// idle reports whether the loop has little to do.
func (l *Loop) idle() bool { return !l.busy }

// handler returns the handler of a descriptor; nil if there is none.
func (l *Loop) handler(fd int32) Handler {
	if int(fd) >= len(l.handlers) {
		return nil
	}
	return l.handlers[fd]
}

// setHandler sets the handler of a descriptor.
func (l *Loop) setHandler(fd int32, h Handler) {
	if more := int(fd) + 1 - len(l.handlers); more > 0 {
		l.handlers = append(l.handlers, make([]Handler, more)...)
	}
	l.handlers[fd] = h
}

// Again gives h another turn with a socket, after the events that have come
// by now.
func (l *Loop) Again(h Handler, fd int32) { l.again = append(l.again, turn{h, fd}) }

// takeTurns gives the turns that were asked for.
func (l *Loop) takeTurns() {
	turns := l.again
	if len(turns) == 0 {
		return
	}
	l.again = nil
	for _, t := range turns {
		t.handler.Event(t.fd, 0)
	}
}

// SetTimer makes t due at a time, unless it is due before that already.
func (l *Loop) SetTimer(t *Timer, at time.Duration) { l.timers.set(t, at) }

// StopTimer undoes SetTimer.
func (l *Loop) StopTimer(t *Timer) { l.timers.remove(t) }

// runTimers calls the handlers of the timers that are due.
func (l *Loop) runTimers() {
	for l.timers.next() <= l.now {
		t := l.timers[0]
		l.timers.remove(t)
		t.Handler.Tick()
	}
}
