package relay

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// readSize is how much one read may give. One buffer of this size is all that a
// loop needs, as long as what it reads is taken at once.
const readSize = 64 << 10

// turn is how many reads of one side come before others have theirs.
const turn = 4

// A loop carries tunnels with one goroutine, by epoll. Everything but orders
// belongs to that goroutine.
type loop struct {
	poll  *poller
	born  time.Time
	held  func() bool // Options.Held
	bell  int32       // an eventfd
	ended chan struct{}

	mu     sync.Mutex
	orders []func() // of other goroutines
	woken  bool
	closed bool // no more orders

	// The loop looks at these two without mu, which it would take three times
	// for each event. The others set news, then read until; the loop sets until,
	// then reads news.
	news  atomic.Bool  // orders wait, or closed is new
	until atomic.Int64 // when the loop looks for news at the latest, unless it is roused; 0: soon

	now    time.Duration // of the events that are dealt with
	heard  time.Duration // when a task last had some
	busy   bool          // there were more than few
	buffer []byte
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

func startLoops(n int, born time.Time, held func() bool) ([]*loop, error) {
	if n <= 0 {
		n = max(runtime.GOMAXPROCS(0)/2, 1)
	}
	var loops []*loop
	for range n {
		l, err := newLoop(born, held)
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

func newLoop(born time.Time, held func() bool) (*loop, error) {
	poll, err := newPoller(born)
	if err != nil {
		return nil, err
	}
	l := &loop{poll: poll, born: born, held: held, bell: -1, ended: make(chan struct{}), buffer: make([]byte, room+readSize)}
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

func (l *loop) release() {
	if l.bell >= 0 {
		_ = unix.Close(int(l.bell))
	}
	l.poll.release()
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
	l.news.Store(true)
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
	l.news.Store(true)
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
	l.news.Store(true) // first: an event of a socket that start watches has the loop wait for mu, and find add
	due := start()
	l.orders = append(l.orders, add)
	if int64(due) < l.until.Load() {
		l.rouse()
	}
	return true
}

// rouse wakes the loop. It holds mu.
func (l *loop) rouse() {
	if !l.woken {
		l.woken = true
		_, _ = unix.Write(int(l.bell), []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// obey does what others ordered, and reports whether that is all there will be.
func (l *loop) obey() bool {
	l.until.Store(0)
	if !l.news.Load() {
		return false
	}
	l.mu.Lock()
	orders, closed := l.orders, l.closed
	l.orders, l.woken = nil, false
	l.news.Store(false)
	l.mu.Unlock()
	for _, f := range orders {
		f()
	}
	return closed
}

// run is the loop. It does not lock its goroutine to a thread: whenever the
// scheduler interrupts the loop, that would cost two switches of threads.
func (l *loop) run() {
	defer close(l.ended)
	defer l.release()
	for {
		n := l.wait()
		l.busy = n > few
		for l.held() {
			time.Sleep(heldFor)
		}
		l.now = time.Since(l.born)
		// The orders come before the events, which may be those of a tunnel that is new. An event of a descriptor that is closed
		// meanwhile is nobody's: who gets its number is not known before the next orders.
		if l.obey() {
			break
		}
		for _, event := range l.poll.events[:n] {
			t := l.taskOf(event.Fd)
			if t == nil {
				l.poll.woke(event.Fd, l.now)
				continue
			}
			l.heard = l.now
			t.event(event.Fd, event.Events)
		}
		for _, turn := range l.takeAgain() {
			turn.l.again(turn.s)
		}
		for l.timers.next() <= l.now {
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
func (l *loop) idle() bool { return !l.busy }

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

// wait waits for events, unless there is something else to do, and returns how
// many there are.
func (l *loop) wait() int {
	due, holds := l.timers.next(), l.now < l.heard+holding
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

// sleeps says until when the loop will wait, unless there is news.
func (l *loop) sleeps(until time.Duration) bool {
	l.until.Store(int64(until))
	return !l.news.Load()
}
