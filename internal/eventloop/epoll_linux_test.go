package eventloop

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// waitUntilParked waits until a poller waits as a parked goroutine.
func waitUntilParked(t *testing.T) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	until(t, "a poller is parked", func() bool {
		for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			state, _, _ := strings.Cut(stack, "\n")
			if strings.Contains(state, "[IO wait") && strings.Contains(stack, "(*poller).waitParked") {
				return true
			}
		}
		return false
	})
}

func testPoller(t *testing.T) (p *poller, wakeFD int) {
	t.Helper()
	p, err := newPoller(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	wakeFD, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Close(wakeFD)
		p.release()
	})
	if err := p.watch(int32(wakeFD), unix.EPOLL_CTL_ADD, 0); err != nil {
		t.Fatal(err)
	}
	return p, wakeFD
}

func wake(t *testing.T, wakeFD int) {
	t.Helper()
	if _, err := unix.Write(wakeFD, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
}

// inBackground calls waitParked or waitBlocking in a goroutine, and returns a
// channel for the result.
func inBackground(wait func() int) <-chan int {
	events := make(chan int, 1)
	go func() { events <- wait() }()
	return events
}

// TestWaitParked checks that a parked poller keeps no thread, and that an event
// or the timer wakes it, however often it has waited before.
func TestWaitParked(t *testing.T) {
	p, wakeFD := testPoller(t)
	for i := range 50 {
		start := time.Since(p.epoch)
		woken := inBackground(p.waitParked)
		waitUntilParked(t)
		wake(t, wakeFD)
		if n := receive(t, woken); n != 1 || int(p.events[0].Fd) != wakeFD {
			t.Fatalf("%d events, the first of %d; want 1, of %d", n, p.events[0].Fd, wakeFD)
		}
		wake(t, wakeFD) // like an event that comes while the loop is busy, which waitParked finds at once
		if n := receive(t, inBackground(p.waitParked)); n != 1 || int(p.events[0].Fd) != wakeFD {
			t.Fatalf("before it is parked: %d events, the first of %d; want 1, of %d", n, p.events[0].Fd, wakeFD)
		}
		wake(t, wakeFD)
		if n := receive(t, inBackground(p.waitBlocking)); n != 1 {
			t.Fatalf("waitBlocking: %d events, want 1", n)
		}
		alarmed := inBackground(p.waitParked)
		waitUntilParked(t)
		p.setTimer(time.Since(p.epoch) + time.Millisecond)
		if n := receive(t, alarmed); n != 1 || int(p.events[0].Fd) != p.timerFD {
			t.Fatalf("timer: %d events, the first of %d; want 1, of %d", n, p.events[0].Fd, p.timerFD)
		}
		now := p.unparkedAt
		if now < start {
			t.Fatalf("the loop was last unparked at %v, want after %v", now, start)
		}
		if i%2 == 0 {
			now += time.Hour
		}
		p.handleUnowned(p.events[0].Fd, now)
		if p.inGate == (i%2 == 0) {
			t.Fatalf("inGate = %v, %v after the loop was unparked", p.inGate, now-p.unparkedAt)
		}
	}
}

// TestWaitParkedWithManyEvents checks that events that exceed the space of one
// wait are left for the next.
func TestWaitParkedWithManyEvents(t *testing.T) {
	p, _ := testPoller(t)
	const wakeFDs = len(p.events) + 10
	for range wakeFDs {
		wakeFD, err := unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(wakeFD)
		if err := p.watch(int32(wakeFD), unix.EPOLL_CTL_ADD, 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := receive(t, inBackground(p.waitParked)); n != len(p.events) {
		t.Fatalf("%d events, want %d", n, len(p.events))
	}
	if n := receive(t, inBackground(p.waitParked)); n != 10 {
		t.Fatalf("then %d events, want 10", n)
	}
}

// TestPollerTimer checks that the timer fires at the earliest time that it was
// set for, and can be set again.
func TestPollerTimer(t *testing.T) {
	p, _ := testPoller(t)
	epoch := p.epoch
	for range 10 {
		due := time.Since(epoch) + 2*time.Millisecond
		p.setTimer(time.Since(epoch) + time.Hour)
		p.setTimer(due)
		p.setTimer(time.Since(epoch) + time.Hour)
		for receive(t, inBackground(p.waitBlocking)) == 0 { // a signal
		}
		if now := time.Since(epoch); now < due || int(p.events[0].Fd) != p.timerFD {
			t.Fatalf("event of %d, %v before the timer was due; want of %d, after it", p.events[0].Fd, due-now, p.timerFD)
		}
		p.handleUnowned(p.events[0].Fd, time.Since(p.epoch))
	}
}

// TestPollerTimerInThePast checks that a timer that is set for the past fires
// at once.
func TestPollerTimerInThePast(t *testing.T) {
	p, _ := testPoller(t)
	p.epoch = time.Now()
	p.setTimer(-time.Hour)
	n := 0
	for start := time.Now(); n == 0 && time.Since(start) < patience; { // a signal may end a wait
		n = receive(t, inBackground(p.waitBlocking))
	}
	if n != 1 || int(p.events[0].Fd) != p.timerFD {
		t.Errorf("%d events, the first of %d; want 1, of %d", n, p.events[0].Fd, p.timerFD)
	}
}

// TestCloseParkedLoop checks that Close ends a loop that is parked.
func TestCloseParkedLoop(t *testing.T) {
	g := newGroup(t, 1)
	waitUntilParked(t)
	closeNow(t, g)
}

// TestWaitParkedWithoutGate checks that if Go's poller cannot be used,
// waitParked still wakes up, but keeps its thread.
func TestWaitParkedWithoutGate(t *testing.T) {
	for name, watching := range map[string]bool{"at first": false, "later": true} {
		t.Run(name, func(t *testing.T) { testParkedWithoutGate(t, watching) })
	}
}

func testParkedWithoutGate(t *testing.T, watching bool) {
	p, wakeFD := testPoller(t)
	if watching {
		if err := p.openGate(); err != nil {
			t.Fatal(err)
		}
	}
	gates := p.gateFD
	p.gateFD = -1
	woken := inBackground(p.waitParked)
	time.Sleep(20 * time.Millisecond) // so that it waits: it would find an earlier event in any case
	wake(t, wakeFD)
	n := receive(t, woken)
	for n == 0 { // a signal
		n = receive(t, inBackground(p.waitParked))
	}
	if n != 1 || int(p.events[0].Fd) != wakeFD {
		t.Errorf("%d events, the first of %d; want 1, of %d", n, p.events[0].Fd, wakeFD)
	}
	if p.inGate != watching {
		t.Errorf("inGate = %v, want %v", p.inGate, watching)
	}
	if p.gateFD = gates; p.openGate() != nil || !p.inGate {
		t.Error("the gate does not watch later")
	}
}

// TestPollerTimerIsSetOnce checks that setTimer makes no system call if the
// timer is already due at that time or earlier.
func TestPollerTimerIsSetOnce(t *testing.T) {
	p, _ := testPoller(t)
	for i, at := range []time.Duration{time.Hour, time.Hour, 2 * time.Hour} {
		p.setTimer(at)
		var set unix.ItimerSpec
		if err := unix.TimerfdGettime(p.timerFD, &set); err != nil {
			t.Fatal(err)
		}
		if isSet := set.Value != (unix.Timespec{}); isSet != (i == 0) {
			t.Errorf("the timer is set for %v: %v, want %v", at, isSet, i == 0)
		}
		if err := unix.TimerfdSettime(p.timerFD, 0, &unix.ItimerSpec{}, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGateStaysOpenForAWhile checks that epoll stays in gate for a thousand
// times as long as adding it took.
func TestGateStaysOpenForAWhile(t *testing.T) {
	p, _ := testPoller(t)
	if err := p.openGate(); err != nil {
		t.Fatal(err)
	}
	p.addCost, p.unparkedAt = 7, 100
	for _, now := range []time.Duration{100, 100 + 7000, 100 + 7001} {
		p.handleUnowned(int32(p.timerFD), now)
		if want := now <= 100+7000; p.inGate != want {
			t.Errorf("at %d: inGate = %v, want %v", now, p.inGate, want)
		}
	}
}

// TestNoEventsAfterAnError checks that a wait that fails returns no events.
func TestNoEventsAfterAnError(t *testing.T) {
	p := &poller{epoll: -1}
	if n := p.poll(); n != 0 {
		t.Errorf("%d events, want none", n)
	}
}

// TestReleaseIncompletePoller checks that release closes the descriptors that
// are open.
func TestReleaseIncompletePoller(t *testing.T) {
	before := descriptors(t)
	open := func() int {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	(&poller{epoll: open(), timerFD: open(), gateFD: open()}).release()
	(&poller{epoll: -1, timerFD: -1, gateFD: open()}).release()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, want %d as before", after, before)
	}
}
