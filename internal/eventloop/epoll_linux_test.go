package eventloop

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// rests waits until a poller rests, as a goroutine that reads from a socket.
func rests(t *testing.T) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	until(t, "a poller rests", func() bool {
		for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			state, _, _ := strings.Cut(stack, "\n")
			if strings.Contains(state, "[IO wait") && strings.Contains(stack, "(*poller).rest") {
				return true
			}
		}
		return false
	})
}

func testPoller(t *testing.T) (p *poller, bell int) {
	t.Helper()
	p, err := newPoller(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Close(bell)
		p.release()
	})
	if err := p.watch(int32(bell), unix.EPOLL_CTL_ADD, 0); err != nil {
		t.Fatal(err)
	}
	return p, bell
}

func ring(t *testing.T, bell int) {
	t.Helper()
	if _, err := unix.Write(bell, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
}

// waiting calls rest or hold of a poller in a goroutine, and returns a channel
// for the result.
func waiting(wait func() int) <-chan int {
	events := make(chan int, 1)
	go func() { events <- wait() }()
	return events
}

// TestRest: a poller that rests keeps no thread, and wakes up each time, by an
// event or by the alarm, however often it has rested or held before.
func TestRest(t *testing.T) {
	p, bell := testPoller(t)
	for i := range 50 {
		begun := time.Since(p.epoch)
		rung := waiting(p.rest)
		rests(t)
		ring(t, bell)
		if n := receive(t, rung); n != 1 || int(p.events[0].Fd) != bell {
			t.Fatalf("%d events, the first of %d", n, p.events[0].Fd)
		}
		ring(t, bell) // as an event that comes while the loop is at work, which a rest finds at once
		if n := receive(t, waiting(p.rest)); n != 1 || int(p.events[0].Fd) != bell {
			t.Fatalf("before the rest: %d events, the first of %d", n, p.events[0].Fd)
		}
		ring(t, bell)
		if n := receive(t, waiting(p.hold)); n != 1 {
			t.Fatalf("hold: %d events", n)
		}
		alarmed := waiting(p.rest)
		rests(t)
		p.wakeAt(time.Since(p.epoch) + time.Millisecond)
		if n := receive(t, alarmed); n != 1 || int(p.events[0].Fd) != p.alarm {
			t.Fatalf("alarm: %d events, the first of %d", n, p.events[0].Fd)
		}
		now := p.rested
		if now < begun {
			t.Fatalf("the last rest was at %v, before %v", now, begun)
		}
		if i%2 == 0 {
			now += time.Hour
		}
		p.woke(p.events[0].Fd, now)
		if p.watching == (i%2 == 0) {
			t.Fatalf("the gate watches: %v, %v after the rest", p.watching, now-p.rested)
		}
	}
}

// TestRestOfMany: more events than one wait takes are there for the next.
func TestRestOfMany(t *testing.T) {
	p, _ := testPoller(t)
	const bells = len(p.events) + 10
	for range bells {
		bell, err := unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(bell)
		if err := p.watch(int32(bell), unix.EPOLL_CTL_ADD, 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := receive(t, waiting(p.rest)); n != len(p.events) {
		t.Fatalf("%d events", n)
	}
	if n := receive(t, waiting(p.rest)); n != 10 {
		t.Fatalf("then %d events", n)
	}
}

// TestAlarm: it goes off at the earliest time that it was set for, and again.
func TestAlarm(t *testing.T) {
	p, _ := testPoller(t)
	epoch := p.epoch
	for range 10 {
		due := time.Since(epoch) + 2*time.Millisecond
		p.wakeAt(time.Since(epoch) + time.Hour)
		p.wakeAt(due)
		p.wakeAt(time.Since(epoch) + time.Hour)
		for receive(t, waiting(p.hold)) == 0 { // a signal
		}
		if now := time.Since(epoch); now < due || int(p.events[0].Fd) != p.alarm {
			t.Fatalf("%v before it was due, by %d", due-now, p.events[0].Fd)
		}
		p.woke(p.events[0].Fd, time.Since(p.epoch))
	}
}

// TestAlarmInThePast: it goes off at once.
func TestAlarmInThePast(t *testing.T) {
	p, _ := testPoller(t)
	p.epoch = time.Now()
	p.wakeAt(-time.Hour)
	n := 0
	for begun := time.Now(); n == 0 && time.Since(begun) < patience; { // a signal ends a wait, too
		n = receive(t, waiting(p.hold))
	}
	if n != 1 || int(p.events[0].Fd) != p.alarm {
		t.Errorf("%d events, the first of %d", n, p.events[0].Fd)
	}
}

// TestCloseResting: a loop that rests ends.
func TestCloseResting(t *testing.T) {
	g := newGroup(t, 1)
	rests(t)
	closeNow(t, g)
}

// TestRestWithoutGate: if Go's poller cannot be used, a poller that rests
// still wakes up, but keeps its thread.
func TestRestWithoutGate(t *testing.T) {
	for name, watching := range map[string]bool{"at first": false, "later": true} {
		t.Run(name, func(t *testing.T) { restsWithoutGate(t, watching) })
	}
}

func restsWithoutGate(t *testing.T, watching bool) {
	p, bell := testPoller(t)
	if watching {
		if err := p.openGate(); err != nil {
			t.Fatal(err)
		}
	}
	gates := p.gates
	p.gates = -1
	rung := waiting(p.rest)
	time.Sleep(20 * time.Millisecond) // an event that comes before it waits is found in any case
	ring(t, bell)
	n := receive(t, rung)
	for n == 0 { // a signal
		n = receive(t, waiting(p.rest))
	}
	if n != 1 || int(p.events[0].Fd) != bell {
		t.Errorf("%d events, the first of %d", n, p.events[0].Fd)
	}
	if p.watching != watching {
		t.Errorf("the gate watches: %v", p.watching)
	}
	if p.gates = gates; p.openGate() != nil || !p.watching {
		t.Error("the gate does not watch later")
	}
}

// TestAlarmIsSetOnce: no system call is made for a time at which the alarm
// goes off anyway.
func TestAlarmIsSetOnce(t *testing.T) {
	p, _ := testPoller(t)
	for i, at := range []time.Duration{time.Hour, time.Hour, 2 * time.Hour} {
		p.wakeAt(at)
		var set unix.ItimerSpec
		if err := unix.TimerfdGettime(p.alarm, &set); err != nil {
			t.Fatal(err)
		}
		if isSet := set.Value != (unix.Timespec{}); isSet != (i == 0) {
			t.Errorf("the alarm is set for %v: %v", at, isSet)
		}
		if err := unix.TimerfdSettime(p.alarm, 0, &unix.ItimerSpec{}, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGateWatchesForAWhile: for a thousand times as long as it took to add
// epoll.
func TestGateWatchesForAWhile(t *testing.T) {
	p, _ := testPoller(t)
	if err := p.openGate(); err != nil {
		t.Fatal(err)
	}
	p.cost, p.rested = 7, 100
	for _, now := range []time.Duration{100, 100 + 7000, 100 + 7001} {
		p.woke(int32(p.alarm), now)
		if want := now <= 100+7000; p.watching != want {
			t.Errorf("at %d the gate watches: %v", now, p.watching)
		}
	}
}

// TestNoEventsOfAnError: a wait that fails has found nothing.
func TestNoEventsOfAnError(t *testing.T) {
	p := &poller{epoll: -1}
	if n := p.peek(); n != 0 {
		t.Errorf("%d events", n)
	}
}

// TestReleaseOfAHalfMadePoller: the descriptors that it has are closed.
func TestReleaseOfAHalfMadePoller(t *testing.T) {
	before := descriptors(t)
	open := func() int {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	(&poller{epoll: open(), alarm: open(), gates: open()}).release()
	(&poller{epoll: -1, alarm: -1, gates: open()}).release()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
}
