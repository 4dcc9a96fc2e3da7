package eventloop

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ReadSize bounds the bytes of one read. One buffer of this size is enough for
// a loop, because handlers write what they read before the next read, or copy
// it.
const ReadSize = 64 << 10

// Headroom is the size of the free space at the start of [Loop.Buffer]. A
// handler can put bytes left over from earlier reads there, in front of the
// next ones.
const Headroom = 16

// Turn is how many times a handler reads from one socket before it calls
// [Loop.Again], so that other sockets have their turn.
const Turn = 4

// fewEvents is how many events a loop handles in about the time that it takes
// to start a goroutine.
const fewEvents = 4

// A Handler handles the events of one or more sockets. A loop calls its
// methods, so they must not block.
type Handler interface {
	// Event is called with the events of a socket, or with 0 after
	// [Loop.Again].
	Event(fd int32, e Events)

	// Tick is called when a [Timer] of the handler is due.
	Tick()

	// Stop is called when the loop ends, once for each socket.
	Stop()
}

// A Loop handles the events of its sockets in one goroutine. Except for Post,
// Adopt and Elapsed, its methods may be called only on that goroutine.
type Loop struct {
	// Buffer has Headroom and then ReadSize bytes. The next read of any socket
	// overwrites it.
	Buffer []byte

	group    *Group
	poll     *poller
	wakeFD   int32 // an eventfd
	mayBlock bool  // may call poller.waitBlocking
	ended    chan struct{}

	mu     sync.Mutex
	posted []func()
	woken  bool
	closed bool // nothing more may be posted

	// The loop reads these two without mu, which it would otherwise lock three
	// times for each event. Other goroutines set hasNews, then read sleepsUntil.
	// The loop sets sleepsUntil, then reads hasNews.
	hasNews     atomic.Bool  // posted is not empty, or closed was set
	sleepsUntil atomic.Int64 // when the loop reads hasNews next, unless it is woken; 0: it is awake

	now         time.Duration // the time of the current events
	lastEventAt time.Duration // when a handler last had an event
	busy        bool          // the last wait returned more than fewEvents events
	handlers    []Handler     // indexed by descriptor
	turns       []turn        // for the next round
	timers      timers
}

// A turn is a request of [Loop.Again].
type turn struct {
	handler Handler
	fd      int32
}

// start starts n loops, or the default number.
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
		l.mayBlock = procs > n
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

// For returns the loop that watches one of conns, or the connection below it.
// If no loop does, it returns the next loop in turn, or nil if the group has no
// loops.
func (g *Group) For(conns ...net.Conn) *Loop {
	for _, conn := range conns {
		if wrapper, ok := conn.(interface{ NetConn() net.Conn }); ok {
			conn = wrapper.NetConn()
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
	l := &Loop{group: g, poll: poll, wakeFD: -1, ended: make(chan struct{}), Buffer: make([]byte, Headroom+ReadSize)}
	wakeFD, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		l.wakeFD = int32(wakeFD)
		err = l.poll.watch(l.wakeFD, unix.EPOLL_CTL_ADD, 0)
	}
	if err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

func (l *Loop) release() {
	if l.wakeFD >= 0 {
		_ = unix.Close(int(l.wakeFD))
	}
	l.poll.release()
}

// close makes the loop end.
func (l *Loop) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.hasNews.Store(true)
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
	l.hasNews.Store(true)
	l.wake()
	return true
}

// Adopt is like Post, for a function f that adds sockets to the loop. It first
// calls start, which registers them with epoll and returns when their timers
// are due. Waking the loop is a noticeable part of the cost of a handshake, so
// Adopt wakes it only if it would sleep past that time. An event of one of the
// sockets wakes it too.
func (l *Loop) Adopt(start func() time.Duration, f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	// Set before start: an event of one of the sockets may wake the loop, which
	// then waits for mu and finds f.
	l.hasNews.Store(true)
	due := start()
	l.posted = append(l.posted, f)
	if int64(due) < l.sleepsUntil.Load() {
		l.wake()
	}
	return true
}

// wake wakes the loop. l.mu must be held.
func (l *Loop) wake() {
	if !l.woken {
		l.woken = true
		_, _ = unix.Write(int(l.wakeFD), []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// runPosted calls the posted functions, and reports whether the loop is closed.
func (l *Loop) runPosted() (closed bool) {
	l.sleepsUntil.Store(0)
	if !l.hasNews.Load() {
		return false
	}
	l.mu.Lock()
	posted, closed := l.posted, l.closed
	l.posted, l.woken = nil, false
	l.hasNews.Store(false)
	l.mu.Unlock()
	for _, f := range posted {
		f()
	}
	return closed
}

// run runs the loop. Its goroutine is not locked to a thread: that would cost
// two thread switches each time the scheduler preempts the loop.
func (l *Loop) run() {
	defer close(l.ended)
	defer l.release()
	for {
		n := l.wait()
		l.busy = n > fewEvents
		l.group.WaitPaused()
		l.now = l.Elapsed()
		// Posted functions come first, because they may add the sockets that the
		// events belong to. An event of a descriptor that is closed in the meantime
		// is ignored: a new socket with the same number is added only by the next
		// posted functions.
		if l.runPosted() {
			break
		}
		for _, event := range l.poll.events[:n] {
			h := l.handler(event.Fd)
			if h == nil {
				l.poll.handleUnowned(event.Fd, l.now)
				continue
			}
			l.lastEventAt = l.now
			h.Event(event.Fd, Events(event.Events))
		}
		l.takeTurns()
		l.runTimers()
		if l.runPosted() { // posted by the handlers
			break
		}
	}
	for _, h := range l.handlers {
		if h != nil {
			h.Stop()
		}
	}
}

// wait waits for events, unless other work is due, and returns their number.
func (l *Loop) wait() int {
	due, blocks := l.timers.next(), l.mayBlock && l.now < l.lastEventAt+blockingPeriod
	if blocks {
		due = min(due, l.lastEventAt+blockingPeriod)
	}
	switch {
	case len(l.turns) > 0 || due <= l.now || !l.prepareSleep(due):
		return l.poll.poll()
	case blocks:
		l.poll.setTimer(due)
		return l.poll.waitBlocking()
	default:
		l.poll.setTimer(due)
		return l.poll.waitParked()
	}
}

// prepareSleep records that the loop waits until a time. It reports false if
// there is news, so that the loop must not wait.
func (l *Loop) prepareSleep(until time.Duration) bool {
	l.sleepsUntil.Store(int64(until))
	return !l.hasNews.Load()
}

// Now returns the time at which the loop started to handle the current events.
func (l *Loop) Now() time.Duration { return l.now }

// Elapsed returns the current time, as a duration since the group's epoch. Any
// goroutine may call it.
func (l *Loop) Elapsed() time.Duration { return time.Since(l.group.epoch) }

// idle reports whether the loop has little to do.
func (l *Loop) idle() bool { return !l.busy }

// handler returns the handler of a descriptor, or nil.
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

// Again calls h.Event(fd, 0) after the current events of all sockets.
func (l *Loop) Again(h Handler, fd int32) { l.turns = append(l.turns, turn{h, fd}) }

// takeTurns calls the handlers that asked for another turn.
func (l *Loop) takeTurns() {
	turns := l.turns
	if len(turns) == 0 {
		return
	}
	l.turns = nil
	for _, t := range turns {
		t.handler.Event(t.fd, 0)
	}
}

// SetTimer makes t due at a time, unless it is already due earlier.
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
