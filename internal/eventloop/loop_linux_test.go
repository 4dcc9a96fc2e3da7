package eventloop

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func (l *Loop) sleepsForever() bool {
	return l.sleepsUntil.Load() == int64(never)
}

// TestLoopsByDefault checks that there is one loop for every two CPUs, and none
// of them may block the only processor of the scheduler.
func TestLoopsByDefault(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	for procs, want := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 8: 4} {
		runtime.GOMAXPROCS(procs)
		g := newGroup(t, 0)
		if n := runtime.GOMAXPROCS(0); len(g.loops) != want || n != procs {
			t.Errorf("%d CPUs: %d loops, and GOMAXPROCS is %d; want %d loops", procs, len(g.loops), n, want)
		}
		for _, l := range g.loops {
			if l.mayBlock != (procs > 1) {
				t.Errorf("%d CPUs: mayBlock = %v, want %v", procs, l.mayBlock, procs > 1)
			}
		}
		closeNow(t, g)
		closeNow(t, g) // no effect
		if g = newGroup(t, 1); len(g.loops) != 1 {
			t.Errorf("%d loops, want 1", len(g.loops))
		}
		closeNow(t, g)
	}
}

// TestLoopsTakeTurns checks that sockets are spread over the loops.
func TestLoopsTakeTurns(t *testing.T) {
	g := newGroup(t, 2)
	if first, second, third := g.For(), g.For(), g.For(); first == second || first != third {
		t.Error("the loops do not take turns")
	}
}

// A wrapper is a connection around another, like those of TLS and of package
// wsconn.
type wrapper struct {
	net.Conn
	conn net.Conn
}

// NetConn returns the wrapped connection.
func (o wrapper) NetConn() net.Conn { return o.conn }

// TestFor checks that For returns the loop that watches a connection, if the
// group has it.
func TestFor(t *testing.T) {
	g := newGroup(t, 3)
	c, _ := pair(t)
	other, _ := pair(t)
	if _, ok := c.watch(g.loops[1]); !ok {
		t.Fatal("not watched")
	}
	for range 4 {
		if got := g.For(other, c); got != g.loops[1] {
			t.Fatalf("loop %v, want the second", got)
		}
		if got := g.For(wrapper{conn: c}); got != g.loops[1] {
			t.Fatalf("loop %v for a wrapped connection, want the second", got)
		}
	}
	otherGroup := newGroup(t, 1)
	if got := otherGroup.For(c); got != otherGroup.loops[0] {
		t.Error("a loop of another group was chosen")
	}
}

// TestBlockingWaitEnds checks that a loop that has just been busy waits in
// waitBlocking, and still wakes up for timers and at the end of blockingPeriod.
func TestBlockingWaitEnds(t *testing.T) {
	for name, tt := range map[string]struct{ due, want time.Duration }{
		"nothing is due": {never, blockingPeriod},
		"due before":     {blockingPeriod / 2, blockingPeriod / 2},
		"due after":      {2 * blockingPeriod, blockingPeriod},
	} {
		t.Run(name, func(t *testing.T) {
			l := testLoop(t)
			const now = time.Hour // as if the loop were that old: the timer fires after wakeFD
			l.now, l.lastEventAt = now, now
			l.timers.set(&Timer{}, tt.due)
			if tt.due != never {
				l.timers[0].due += now
			}
			wake(t, int(l.wakeFD))
			if n := receive(t, inBackground(l.wait)); n != 1 || l.poll.events[0].Fd != l.wakeFD {
				t.Fatalf("%d events, the first of %d; want 1, of %d", n, l.poll.events[0].Fd, l.wakeFD)
			}
			if got := l.poll.timerDue - now; got != tt.want || time.Duration(l.sleepsUntil.Load()) != now+tt.want {
				t.Errorf("the timer fires after %v, the loop says after %v; want %v", got, time.Duration(l.sleepsUntil.Load())-now, tt.want)
			}
		})
	}
}

// TestLoopThatMayNotBlock checks that a loop with mayBlock false is parked even
// after an event.
func TestLoopThatMayNotBlock(t *testing.T) {
	l := testLoop(t)
	l.mayBlock = false
	l.now, l.lastEventAt = 0, 0
	woken := inBackground(l.wait)
	waitUntilParked(t)
	wake(t, int(l.wakeFD))
	if n := receive(t, woken); n != 1 || !l.sleepsForever() {
		t.Errorf("%d events, the loop sleeps until %v; want 1, forever", n, time.Duration(l.sleepsUntil.Load()))
	}
}

// TestIdleLoopIsParked checks that a loop that has been idle for blockingPeriod
// is parked until a timer is due.
func TestIdleLoopIsParked(t *testing.T) {
	l := testLoop(t)
	l.now, l.lastEventAt = blockingPeriod, 0
	wake(t, int(l.wakeFD))
	if n := receive(t, inBackground(l.wait)); n != 1 || !l.sleepsForever() || l.poll.timerDue != never {
		t.Errorf("%d events, the loop sleeps until %v, the timer fires at %v; want 1, forever, never", n, time.Duration(l.sleepsUntil.Load()), l.poll.timerDue)
	}
}

// testLoop returns a loop that does not run.
func testLoop(t *testing.T) *Loop {
	t.Helper()
	g, err := New(Options{Portable: true})
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLoop(g)
	if err != nil {
		t.Fatal(err)
	}
	l.mayBlock = true
	t.Cleanup(l.release)
	return l
}

// wakeUps returns how often l was woken since the last call.
func (l *Loop) wakeUps(t *testing.T) uint64 {
	t.Helper()
	var count [8]byte
	if _, err := unix.Read(int(l.wakeFD), count[:]); err != nil && !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
	return binary.NativeEndian.Uint64(count[:])
}

// TestLoopIsWokenOnce checks that a loop is woken once until it has run the
// posted functions, and only if it would sleep. Each wake-up adds one, because
// nothing reads wakeFD.
func TestLoopIsWokenOnce(t *testing.T) {
	l := testLoop(t)
	soon := func() time.Duration { return time.Minute }
	nothing := func() {}
	for _, step := range []struct {
		name string
		do   func()
		want uint64
	}{
		{"a first post", func() { l.Post(nothing) }, 1},
		{"a second post", func() { l.Post(nothing) }, 0},
		{"a post after runPosted", func() { l.runPosted(); l.Post(nothing) }, 1},
		{"two posts, each after runPosted", func() { l.runPosted(); l.Post(nothing); l.runPosted(); l.Post(nothing) }, 2},
		{"sockets, while the loop is awake", func() { l.runPosted(); l.Adopt(soon, nothing) }, 0},
		{"sockets that are due when the loop wakes", func() { l.sleepsUntil.Store(int64(time.Minute)); l.Adopt(soon, nothing) }, 0},
		{"sockets that are due before", func() { l.sleepsUntil.Store(int64(time.Minute) + 1); l.Adopt(soon, nothing) }, 1},
	} {
		step.do()
		if got := l.wakeUps(t); got != step.want {
			t.Errorf("%s: woken %d times, want %d", step.name, got, step.want)
		}
	}
}

// TestIdleLoop checks that a loop is idle if it finds few events at once.
func TestIdleLoop(t *testing.T) {
	for events, want := range map[int]bool{1: true, fewEvents: true, fewEvents + 1: false} {
		g, err := New(Options{Portable: true})
		if err != nil {
			t.Fatal(err)
		}
		l, err := newLoop(g)
		if err != nil {
			t.Fatal(err)
		}
		for range events - 1 { // and the loop's own wakeFD
			wakeFD, err := unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(wakeFD)
			if err := l.poll.watch(int32(wakeFD), unix.EPOLL_CTL_ADD, 0); err != nil {
				t.Fatal(err)
			}
		}
		idle := make(chan bool, 1)
		l.Post(func() { idle <- l.idle() })
		go l.run()
		if got := receive(t, idle); got != want {
			t.Errorf("%d events: idle %v, want %v", events, got, want)
		}
		l.close()
		receive(t, l.ended)
	}
}

// TestSetHandler checks that a loop has an entry for each descriptor up to the
// highest one, and no more.
func TestSetHandler(t *testing.T) {
	l := testLoop(t)
	h := new(listener)
	for _, fd := range []int32{5, 5, 3, 0} {
		l.setHandler(fd, h)
		if len(l.handlers) != 6 || l.handler(fd) != h {
			t.Errorf("after %d: %d places, handler %v; want 6, %v", fd, len(l.handlers), l.handler(fd), h)
		}
	}
	if l.handler(4) != nil || l.handler(6) != nil {
		t.Error("there is a handler that was not set")
	}
}

// TestNoWaitWithWorkLeft checks that a loop with work to do polls for events
// without waiting.
func TestNoWaitWithWorkLeft(t *testing.T) {
	for name, prepare := range map[string]func(l *Loop){
		"another turn":       func(l *Loop) { l.turns = make([]turn, 1) },
		"something due":      func(l *Loop) { l.timers.set(&Timer{}, l.now) },
		"something long due": func(l *Loop) { l.timers.set(&Timer{}, l.now-time.Minute) },
		"news":               func(l *Loop) { l.hasNews.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			l := testLoop(t)
			l.now = time.Hour
			prepare(l)
			if n := receive(t, inBackground(l.wait)); n != 0 {
				t.Errorf("%d events, want none", n)
			}
			if l.poll.timerDue != never {
				t.Error("the timer is set")
			}
		})
	}
}

// TestNewWithoutDescriptors checks that New fails if too few descriptors are
// left, and keeps none.
func TestNewWithoutDescriptors(t *testing.T) {
	for left := 0; ; left++ {
		before := descriptors(t)
		var g *Group
		var err error
		withDescriptors(t, left, func() { g, err = New(Options{Loops: 2}) })
		if err == nil {
			closeNow(t, g)
		} else if !errors.Is(err, unix.EMFILE) {
			t.Errorf("%d descriptors left: %v, want %v", left, err, unix.EMFILE)
		}
		if after := descriptors(t); after != before {
			t.Errorf("%d descriptors left: %d are open, want %d as before", left, after, before)
		}
		if err == nil {
			if left < 2*4 { // of each loop: two epolls, a timer and an eventfd
				t.Errorf("%d descriptors were enough, want an error", left)
			}
			return
		}
		if left > 100 {
			t.Fatalf("%d descriptors are too few: %v", left, err)
		}
	}
}

// TestPaused checks that a loop calls Paused until the pause ends.
func TestPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		g, err := New(Options{Portable: true, Paused: func() bool { asked++; return asked < 4 }})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		g.WaitPaused()
		if took := time.Since(start); asked != 4 || took != 3*pauseCheck {
			t.Errorf("asked %d times in %v, want 4 in %v", asked, took, 3*pauseCheck)
		}
	})
}

// A handler records what a loop calls.
type handler struct {
	events  []Events
	ticks   int
	stops   int
	onEvent func()
}

func (h *handler) Event(_ int32, e Events) {
	h.events = append(h.events, e)
	if h.onEvent != nil {
		h.onEvent()
	}
}
func (h *handler) Tick() { h.ticks++ }
func (h *handler) Stop() { h.stops++ }

// TestTurns checks that after Again, Event is called once, with no events. A
// call of Again during this call takes effect in the next round.
func TestTurns(t *testing.T) {
	l := testLoop(t)
	h := &handler{}
	h.onEvent = func() {
		if len(h.events) == 1 {
			l.Again(h, 7)
		}
	}
	l.takeTurns()
	l.Again(h, 7)
	for want := 1; want <= 2; want++ {
		l.takeTurns()
		if len(h.events) != want || h.events[want-1] != 0 {
			t.Errorf("events %v, want %d without any", h.events, want)
		}
	}
	if l.takeTurns(); len(h.events) != 2 || len(l.turns) > 0 {
		t.Errorf("events %v, and %d turns are left; want two events and none left", h.events, len(l.turns))
	}
}

// TestRunTimers checks that timers that are due fire once each, and the others
// do not.
func TestRunTimers(t *testing.T) {
	l := testLoop(t)
	l.now = time.Minute
	due, notDue := &handler{}, &handler{}
	timers := [3]Timer{{Handler: due}, {Handler: due}, {Handler: notDue}}
	for i, at := range []time.Duration{l.now, l.now - 1, l.now + 1} {
		l.SetTimer(&timers[i], at)
	}
	for range 2 {
		l.runTimers()
		if due.ticks != 2 || notDue.ticks != 0 || timers[0].IsSet() || timers[1].IsSet() || !timers[2].IsSet() {
			t.Errorf("the due timers fired %d times, the others %d; want 2, 0", due.ticks, notDue.ticks)
		}
	}
	l.StopTimer(&timers[2])
	if timers[2].IsSet() {
		t.Error("a timer was not stopped")
	}
}

// TestStop checks that when a loop ends, Stop is called once for each socket,
// and nothing can be posted afterwards.
func TestStop(t *testing.T) {
	g := newGroup(t, 1)
	l := g.loops[0]
	h := &handler{}
	ran := make(chan struct{})
	c, _ := pair(t)
	other, _ := pair(t)
	l.Post(func() {
		for _, conn := range []*Conn{c, other} {
			s := NewSocket(conn.fd)
			l.Add(&s, h)
		}
		close(ran)
	})
	receive(t, ran)
	closeNow(t, g)
	if h.stops != 2 {
		t.Errorf("stopped %d times, want 2", h.stops)
	}
	if l.Post(func() {}) || l.Adopt(func() time.Duration { return 0 }, func() {}) {
		t.Error("a closed loop accepts functions")
	}
}

// TestLastEventAt checks that a loop records when a handler last had an event.
func TestLastEventAt(t *testing.T) {
	g := newGroup(t, 1)
	l := g.loops[0]
	c, far := pair(t)
	heard := make(chan struct{})
	h := &handler{}
	h.onEvent = func() { close(heard) }
	l.Post(func() {
		s := NewSocket(c.fd)
		if err := l.Watch(&s); err != nil {
			t.Error(err)
		}
		l.Add(&s, h)
		l.lastEventAt = 0
	})
	if _, err := io.WriteString(far, "x"); err != nil {
		t.Fatal(err)
	}
	receive(t, heard)
	last := make(chan time.Duration, 1)
	l.Post(func() { last <- l.lastEventAt })
	if receive(t, last) == 0 {
		t.Error("lastEventAt was not set")
	}
}
