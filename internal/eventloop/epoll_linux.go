package eventloop

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// holding is how long after an event a loop waits for the next by a system
// call that the scheduler does not know of (hold). That is as fast as in a
// program without a scheduler. But it occupies one of the scheduler's
// processors (GOMAXPROCS), and the runtime's monitor thread wakes up a hundred
// times a second meanwhile. After that the loop waits as any goroutine does
// that reads from a socket (rest), which costs some microseconds more when an
// event comes, and nothing until then.
//
// A garbage collection that stops the world has to wait for a loop that holds:
// the runtime's signal ends the wait, and is repeated if it comes just before
// one. Where those signals are turned off, the wait ends after holding.
const holding = 10 * time.Millisecond

// A poller waits for the events of a loop's sockets.
type poller struct {
	epoch  time.Time
	epoll  int
	events [128]unix.EpollEvent // of the last wait

	// A wait with a timeout sets a timer of the kernel each time. This one
	// stays set when events come before it is due.
	alarm int           // a timerfd
	due   time.Duration // when it goes off; never if it is not set

	// If Go's poller watched epoll itself, each event would wake it. It watches
	// gate, an epoll that reports events of epoll while the loop rests. As long
	// as gate watches epoll, each event costs a little more. But the more
	// sockets there are, the more it costs to add epoll to gate, since the
	// kernel looks through all of them for a cycle of epolls. So epoll stays in
	// gate, with no events to report, until the loop has been awake for much
	// longer than that takes.
	gate     *os.File
	gates    int // its descriptor
	watching bool
	cost     time.Duration // how long it took to add epoll
	rested   time.Duration // when the loop last rested
	wait     syscall.RawConn
	found    int
	look     func(uintptr) bool // sets found, and reports whether there are events
}

func newPoller(epoch time.Time) (_ *poller, err error) {
	p := &poller{epoch: epoch, epoll: -1, alarm: -1, gates: -1, due: never}
	defer func() {
		if err != nil {
			p.release()
		}
	}()
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if p.alarm, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	if err = p.watch(int32(p.alarm), unix.EPOLL_CTL_ADD, 0); err != nil {
		return nil, err
	}
	return p, p.newGate()
}

// newGate makes gate, and has Go's poller watch it.
func (p *poller) newGate() (err error) {
	if p.gates, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err = unix.SetNonblock(p.gates, true); err != nil { // otherwise os takes it for a file
		return os.NewSyscallError("fcntl", err)
	}
	p.gate = os.NewFile(uintptr(p.gates), "epoll")
	if err = p.gate.SetReadDeadline(time.Time{}); err != nil { // Go's poller does not watch it
		return err
	}
	p.look = func(uintptr) bool {
		p.found = p.peek()
		return p.found > 0
	}
	p.wait, err = p.gate.SyscallConn()
	return err
}

func (p *poller) release() {
	if p.gate != nil {
		_ = p.gate.Close()
	} else if p.gates >= 0 {
		_ = unix.Close(p.gates)
	}
	for _, fd := range [...]int{p.alarm, p.epoll} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// watch has epoll report changes of a descriptor: that it can be read, that it
// has ended, and the events also.
func (p *poller) watch(fd int32, op int, also uint32) error {
	err := unix.EpollCtl(p.epoll, op, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET | also, Fd: fd})
	return os.NewSyscallError("epoll_ctl", err)
}

// unwatch undoes watch. It fails if epoll does not watch fd, or is closed.
func (p *poller) unwatch(fd int32) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, int(fd), nil))
}

// wakeAt makes the next wait end at due or before. It may find only an event
// of the alarm then.
func (p *poller) wakeAt(due time.Duration) {
	if due >= p.due {
		return
	}
	p.due = due
	at := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(due-time.Since(p.epoch), 1)))}
	_ = unix.TimerfdSettime(p.alarm, 0, &at, nil) // fails for invalid times only
}

// woke takes an event of a descriptor that has no handler, which may be the
// alarm.
func (p *poller) woke(fd int32, now time.Duration) {
	if fd != int32(p.alarm) {
		return
	}
	p.due = never
	if p.watching && now-p.rested > 1000*p.cost {
		p.watching = p.turnGate(unix.EPOLL_CTL_DEL, 0) != nil
	}
}

// peek returns the number of events that there are.
func (p *poller) peek() int { return p.ask(0) }

// hold waits for events, or the alarm, without telling the scheduler.
func (p *poller) hold() int { return p.ask(-1) }

// rest waits for events, or the alarm, and leaves the thread and its processor
// to the scheduler meanwhile.
func (p *poller) rest() int {
	if err := p.openGate(); err != nil { // the kernel has no memory left
		return p.hold()
	}
	err := p.wait.Read(p.look)
	_ = p.turnGate(unix.EPOLL_CTL_MOD, 0)
	p.rested = time.Since(p.epoch)
	if err != nil { // it should not fail as long as gate is open
		return p.hold()
	}
	return p.found
}

// openGate has gate report epoll's events.
func (p *poller) openGate() error {
	if p.watching {
		return p.turnGate(unix.EPOLL_CTL_MOD, unix.EPOLLIN)
	}
	from := time.Now()
	err := p.turnGate(unix.EPOLL_CTL_ADD, unix.EPOLLIN)
	p.cost, p.watching = time.Since(from), err == nil
	return err
}

// turnGate changes which of epoll's events gate reports.
func (p *poller) turnGate(op int, events uint32) error {
	err := unix.EpollCtl(p.gates, op, p.epoll, &unix.EpollEvent{Events: events})
	return os.NewSyscallError("epoll_ctl", err)
}

// ask waits for events for a number of milliseconds, or without limit if that
// is negative. It uses a raw system call; see transfer.
func (p *poller) ask(timeout int) int {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events)), uintptr(len(p.events)), uintptr(timeout), 0, 0) //nolint:gosec // p lives until the call returns.
	if errno != 0 {
		return 0 // a signal: of the profiler, a garbage collection that waits, or the scheduler
	}
	return int(n)
}
