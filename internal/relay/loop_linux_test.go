package relay

import (
	"encoding/binary"
	"errors"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSleepingLoop: a tunnel that a loop was not woken for has everything in
// time.
func TestSleepingLoop(t *testing.T) {
	w := ways[3]
	for name, does := range map[string]struct {
		pair Pair
		test func(g *rig)
	}{
		"ping":          {Pair{Ping: 50 * time.Millisecond}, func(g *rig) { g.client.gets(pingFrame) }},
		"early data":    {Pair{FromUpstream: fromUpstream(0x82, 5)}, func(g *rig) { g.client.gets(fromUpstream(0x82, 5)) }},
		"from client":   {Pair{}, func(g *rig) { g.client.send(fromClient(0x82, 5)); g.upstream.gets(fromClient(0x82, 5)) }},
		"from upstream": {Pair{}, func(g *rig) { g.upstream.send(fromUpstream(0x82, 5)); g.client.gets(fromUpstream(0x82, 5)) }},
		"end":           {Pair{}, func(g *rig) { g.bye() }},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := New(Options{Loops: 1, grace: w.grace})
			if err != nil {
				t.Fatal(err)
			}
			closeAtEnd(t, r)
			until(t, "the loop sleeps", r.loops[0].sleepsForEver)
			does.test(rigOf(t, r, w, does.pair))
		})
	}
}

func (l *loop) sleepsForEver() bool {
	return l.until.Load() == int64(never)
}

// TestLoopsByDefault: one for every two CPUs that may be used, and places of
// the scheduler in their stead.
func TestLoopsByDefault(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	for procs, want := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 8: 4} {
		runtime.GOMAXPROCS(procs)
		r, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		if n := runtime.GOMAXPROCS(0); len(r.loops) != want || n != procs+want {
			t.Errorf("%d CPUs: %d loops, and GOMAXPROCS is %d; want %d and %d", procs, len(r.loops), n, want, procs+want)
		}
		closeNow(t, r)
		closeNow(t, r) // which changes nothing
		if r, err = New(Options{Loops: 1}); err != nil {
			t.Fatal(err)
		}
		if len(r.loops) != 1 {
			t.Errorf("%d loops instead of one", len(r.loops))
		}
		closeNow(t, r)
		if n := runtime.GOMAXPROCS(0); n != procs {
			t.Errorf("%d CPUs: GOMAXPROCS is %d in the end", procs, n)
		}
	}
}

// TestLoopsTakeTurns: tunnels are spread over the loops.
func TestLoopsTakeTurns(t *testing.T) {
	r := newRelay(t, 2)
	if first, second, third := r.nextLoop(), r.nextLoop(), r.nextLoop(); first == second || first != third {
		t.Error("the loops do not take turns")
	}
}

// TestHoldHasAnAlarm: a loop that has just been busy waits without telling the
// scheduler, and still wakes up for what is due, and at the end of holding.
func TestHoldHasAnAlarm(t *testing.T) {
	for name, tt := range map[string]struct{ due, want time.Duration }{
		"nothing is due": {never, holding},
		"due before":     {holding / 2, holding / 2},
		"due after":      {2 * holding, holding},
	} {
		t.Run(name, func(t *testing.T) {
			l := testLoop(t)
			const now = time.Hour // as if the loop were that old: the alarm goes off later than the bell
			l.now, l.heard = now, now
			l.timers.set(&timed{index: untimed}, tt.due)
			if tt.due != never {
				l.timers[0].due += now
			}
			ring(t, int(l.bell))
			if n := receive(t, waiting(l.wait)); n != 1 || l.poll.events[0].Fd != l.bell {
				t.Fatalf("%d events", n)
			}
			if got := l.poll.due - now; got != tt.want || time.Duration(l.until.Load()) != now+tt.want {
				t.Errorf("the alarm goes off after %v, the loop says after %v; want %v", got, time.Duration(l.until.Load())-now, tt.want)
			}
		})
	}
}

// TestHoldEnds: a loop that has not been busy for the whole of holding rests,
// for as long as nothing is due.
func TestHoldEnds(t *testing.T) {
	l := testLoop(t)
	l.now, l.heard = holding, 0
	ring(t, int(l.bell))
	if n := receive(t, waiting(l.wait)); n != 1 || !l.sleepsForEver() || l.poll.due != never {
		t.Errorf("%d events; the loop sleeps until %v, the alarm goes off at %v", n, time.Duration(l.until.Load()), l.poll.due)
	}
}

// testLoop makes a loop that does not run.
func testLoop(t *testing.T) *loop {
	t.Helper()
	l, err := newLoop(time.Now(), func() bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.release)
	return l
}

// rung counts how often the bell of l was rung since the last call.
func (l *loop) rung(t *testing.T) uint64 {
	t.Helper()
	var count [8]byte
	if _, err := unix.Read(int(l.bell), count[:]); err != nil && !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
	return binary.NativeEndian.Uint64(count[:])
}

// TestBell: it is rung once until the loop has looked for orders, and nobody
// else needs it. Each ring counts one, since nobody empties it.
func TestBell(t *testing.T) {
	l := testLoop(t)
	soon := func() time.Duration { return time.Minute }
	nothing := func() {}
	for _, step := range []struct {
		name string
		does func()
		want uint64
	}{
		{"an order", func() { l.order(nothing) }, 1},
		{"another", func() { l.order(nothing) }, 0},
		{"one after a look", func() { l.obey(); l.order(nothing) }, 1},
		{"two after looks", func() { l.obey(); l.order(nothing); l.obey(); l.order(nothing) }, 2},
		{"a tunnel, while the loop looks", func() { l.obey(); l.adopt(soon, nothing) }, 0},
		{"a tunnel that has time", func() { l.until.Store(int64(time.Minute)); l.adopt(soon, nothing) }, 0},
		{"a tunnel that has less", func() { l.until.Store(int64(time.Minute) + 1); l.adopt(soon, nothing) }, 1},
	} {
		step.does()
		if got := l.rung(t); got != step.want {
			t.Errorf("%s: rung %d times, want %d", step.name, got, step.want)
		}
	}
}

// TestIdleLoop: a loop has little else to do if it finds few events at once.
func TestIdleLoop(t *testing.T) {
	for events, want := range map[int]bool{1: true, few: true, few + 1: false} {
		l, err := newLoop(time.Now(), func() bool { return false })
		if err != nil {
			t.Fatal(err)
		}
		for range events - 1 { // and the loop's own bell
			bell, err := unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(bell)
			if err := l.poll.watch(int32(bell), unix.EPOLL_CTL_ADD, 0); err != nil {
				t.Fatal(err)
			}
		}
		idle := make(chan bool, 1)
		l.order(func() { idle <- l.idle() })
		go l.run()
		if got := receive(t, idle); got != want {
			t.Errorf("%d events: idle %v", events, got)
		}
		l.close()
		receive(t, l.ended)
	}
}

// TestAssign: a loop has a place for each descriptor up to the highest, and no
// more.
func TestAssign(t *testing.T) {
	l := testLoop(t)
	e := new(entrance)
	for _, fd := range []int32{5, 5, 3, 0} {
		l.assign(fd, e)
		if len(l.of) != 6 || l.taskOf(fd) != e {
			t.Errorf("after %d: %d places, task %v", fd, len(l.of), l.taskOf(fd))
		}
	}
	if l.taskOf(4) != nil || l.taskOf(6) != nil {
		t.Error("there is a task that nobody has assigned")
	}
}

// TestNoWaitWithWorkLeft: a loop that has something to do looks for events,
// and does not wait for any.
func TestNoWaitWithWorkLeft(t *testing.T) {
	for name, leave := range map[string]func(l *loop){
		"a side to read on":  func(l *loop) { l.again = make([]turnOf, 1) },
		"something due":      func(l *loop) { l.timers.set(&timed{index: untimed}, l.now) },
		"something long due": func(l *loop) { l.timers.set(&timed{index: untimed}, l.now-time.Minute) },
		"news":               func(l *loop) { l.news.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			l := testLoop(t)
			l.now = time.Hour
			leave(l)
			if n := receive(t, waiting(l.wait)); n != 0 {
				t.Errorf("%d events", n)
			}
			if l.poll.due != never {
				t.Error("the alarm is set")
			}
		})
	}
}

// withDescriptors calls f while the process can open so many files more.
func withDescriptors(t *testing.T, left int, f func()) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}()
	next, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(next)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(next + left), Max: limit.Max}); err != nil { //nolint:gosec // not negative
		t.Fatal(err)
	}
	f()
}

// TestNewWithoutDescriptors: New fails where the system has too few
// descriptors left, and keeps none.
func TestNewWithoutDescriptors(t *testing.T) {
	procs := runtime.GOMAXPROCS(0)
	for left := 0; ; left++ {
		before := descriptors(t)
		var r *Relay
		var err error
		withDescriptors(t, left, func() { r, err = New(Options{Loops: 2}) })
		if err == nil {
			closeNow(t, r)
		} else if !errors.Is(err, unix.EMFILE) {
			t.Errorf("%d descriptors left: %v", left, err)
		}
		if after := descriptors(t); after != before {
			t.Errorf("%d descriptors left: %d are open, %d before", left, after, before)
		}
		if n := runtime.GOMAXPROCS(0); n != procs {
			t.Errorf("%d descriptors left: GOMAXPROCS is %d, %d before", left, n, procs)
		}
		if err == nil {
			if left < 2*4 { // of each loop: two epolls, a timer and a bell
				t.Errorf("%d descriptors were enough", left)
			}
			return
		}
		if left > 100 {
			t.Fatalf("%d descriptors are too few: %v", left, err)
		}
	}
}
