package relay

import (
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// readSize is how much one read may give. One buffer of this size is all that a
// loop needs, as long as what it reads is taken at once.
const readSize = 64 << 10

// turn is how many reads of one side come before others have theirs.
const turn = 4

// hold is for how long after an event a loop waits for more without telling the
// scheduler, which costs a part of a message's time: when a goroutine comes out
// of a longer wait that the scheduler knows of, the runtime's monitor thread
// wakes up dozens of times in the next milliseconds. While a loop holds, that
// thread wakes up a hundred times a second, so it does not hold for long.
//
// A garbage collection that stops the world has to wait for a loop that holds:
// the runtime's signal ends the wait, and is repeated should it come just before
// one.
const hold = 100 * time.Millisecond

// A loop carries tunnels with one goroutine, by epoll. Everything but orders
// belongs to that goroutine.
type loop struct {
	born  time.Time
	epoll int
	wake  int // an eventfd
	ended chan struct{}

	mu     sync.Mutex
	orders []func() // of other goroutines
	woken  bool
	closed bool          // no more orders
	until  time.Duration // when the loop looks for orders at the latest, unless it is roused; 0: soon

	now    time.Duration // of the events that are dealt with
	heard  time.Duration // when there last were some
	found  int           // how many
	buffer []byte
	events [128]unix.EpollEvent
	of     []task   // what an event tells of, by the descriptor
	again  []turnOf // sides whose turn was over before they were read out
	timers timers
}

// A task is what a loop watches sockets for. All methods are called by the loop.
type task interface {
	event(fd int32, events uint32) // as epoll tells it
	tick()                         // its time has come
	kill(now time.Duration)        // the loop ends
}

// A turnOf is one side of a tunnel that is to be read on.
type turnOf struct {
	l *looped
	s side
}

func startLoops(n int, born time.Time) ([]*loop, error) {
	if n <= 0 {
		n = max(runtime.GOMAXPROCS(0)/2, 1)
	}
	var loops []*loop
	for range n {
		l, err := newLoop(born)
		if err != nil {
			for _, l := range loops {
				l.release()
			}
			return nil, err
		}
		loops = append(loops, l)
	}
	addProcs(n)
	for _, l := range loops {
		go l.run()
	}
	return loops, nil
}

func newLoop(born time.Time) (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(epoll)
		return nil, err
	}
	l := &loop{born: born, epoll: epoll, wake: wake, ended: make(chan struct{}), buffer: make([]byte, room+readSize)}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, wake, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(wake)}); err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

func (l *loop) release() {
	_ = unix.Close(l.wake)
	_ = unix.Close(l.epoll)
}

// stopLoops cuts what the loops carry, and waits for their end.
func stopLoops(loops []*loop) error {
	first := false
	for _, l := range loops {
		first = l.close() || first
	}
	for _, l := range loops {
		<-l.ended
	}
	if first {
		addProcs(-len(loops))
	}
	return nil
}

// close has the loop end, and reports whether nobody did so before.
func (l *loop) close() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.closed = true
	l.rouse()
	return true
}

// order has the loop call f, unless it is closed.
func (l *loop) order(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.orders = append(l.orders, f)
	l.rouse()
	return true
}

// adopt has the loop begin with add, unless it is closed. start is called before, and returns when there is something to do at the
// latest. Waking the loop would cost a part of a handshake, and is not needed where it wakes up by itself before that: this happens with
// the first event of a socket that start has told epoll of, too.
func (l *loop) adopt(start func() time.Duration, add func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	due := start()
	l.orders = append(l.orders, add)
	if due < l.until {
		l.rouse()
	}
	return true
}

// watch has epoll tell of a socket, and of what else.
func (l *loop) watch(fd int32, op int, also uint32) error {
	return unix.EpollCtl(l.epoll, op, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET | also, Fd: fd})
}

// rouse wakes the loop. It holds mu.
func (l *loop) rouse() {
	if !l.woken {
		l.woken = true
		_, _ = unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// obey does what others ordered, and reports whether that is all there will be.
func (l *loop) obey() bool {
	l.mu.Lock()
	if l.woken {
		var count [8]byte
		_, _ = unix.Read(l.wake, count[:])
	}
	orders, closed := l.orders, l.closed
	l.orders, l.woken, l.until = nil, false, 0
	l.mu.Unlock()
	for _, f := range orders {
		f()
	}
	return closed
}

// run is the loop.
func (l *loop) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(l.ended)
	defer l.release()
	for {
		n := l.wait()
		l.found = n
		l.now = time.Since(l.born)
		if n > 0 {
			l.heard = l.now
		}
		// The orders come before the events, which may be those of a tunnel that is new. An event of a descriptor that is closed
		// meanwhile is nobody's: who gets its number is not known before the next orders.
		if l.obey() {
			break
		}
		for _, event := range l.events[:n] {
			if t := l.taskOf(event.Fd); t != nil {
				t.event(event.Fd, event.Events)
			}
		}
		for _, turn := range l.takeAgain() {
			turn.l.again(turn.s)
		}
		for l.timers.next(l.now) == 0 {
			l.timers[0].task.tick()
		}
		if l.obey() { // what those have ordered
			break
		}
	}
	for _, t := range l.of {
		if t != nil {
			t.kill(l.now)
		}
	}
}

// taskOf is what fd is watched for; nil where it is not.
func (l *loop) taskOf(fd int32) task {
	if int(fd) >= len(l.of) {
		return nil
	}
	return l.of[fd]
}

// assign has events of fd be those of t.
func (l *loop) assign(fd int32, t task) {
	if more := int(fd) + 1 - len(l.of); more > 0 {
		l.of = append(l.of, make([]task, more)...)
	}
	l.of[fd] = t
}

// idle reports whether the loop has little else to do.
func (l *loop) idle() bool { return l.found <= few }

// few events at once are dealt with about as fast as a goroutine starts.
const few = 4

// takeAgain is what is to be read on now.
func (l *loop) takeAgain() []turnOf {
	if len(l.again) == 0 {
		return nil
	}
	turns := l.again
	l.again = nil
	return turns
}

// wait waits for events: at first so that the scheduler does not know, for a
// loop that has had something to do will soon have more; then as any goroutine.
func (l *loop) wait() int {
	timeout, sleep := l.timers.next(l.now), epollSleep
	if l.now < l.heard+hold {
		timeout, sleep = min(timeout, hold), epollWait
	}
	if len(l.again) > 0 || !l.sleeps(timeout) {
		timeout, sleep = 0, epollWait
	}
	return sleep(l.epoll, l.events[:], timeout)
}

// sleeps says for how long the loop will wait, unless there are orders.
func (l *loop) sleeps(timeout time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = never
	if timeout < never-l.now {
		l.until = l.now + timeout
	}
	return len(l.orders) == 0
}
