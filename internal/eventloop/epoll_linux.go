package eventloop

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// blockingPeriod is how long after an event a loop waits for the next one in a
// system call that the scheduler does not know about (waitBlocking). This is as
// fast as in a program without a scheduler. But it occupies one of the
// scheduler's processors (GOMAXPROCS), and the runtime's monitor thread wakes
// up a hundred times a second. After blockingPeriod the loop waits as a
// goroutine that reads from a socket (waitParked). This adds some microseconds
// to the next event, and costs nothing until then.
//
// When a garbage collection stops the world, it has to wait for a loop that
// blocks. The runtime's signal ends the system call, and is repeated if it
// arrives just before the call. If these signals are turned off, the wait ends
// after blockingPeriod.
const blockingPeriod = 10 * time.Millisecond

// A poller waits for the events of a loop's sockets.
type poller struct {
	epoch  time.Time
	epoll  int
	events [128]unix.EpollEvent // of the last wait

	// A wait with a timeout would set a kernel timer each time. This one stays
	// set if events come before it is due.
	timerFD  int           // a timerfd
	timerDue time.Duration // never if the timer is not set

	// If Go's poller watched epoll itself, each event would wake it. Instead it
	// watches gate, another epoll instance, which reports events of epoll while
	// the loop is parked. While epoll is in gate, each event costs a little
	// more. But adding epoll to gate costs more the more sockets there are,
	// because the kernel searches all of them for a cycle. So epoll stays in
	// gate, with its events masked, until the loop has been awake for much
	// longer than adding takes.
	gate       *os.File
	gateFD     int // gate's descriptor
	inGate     bool
	addCost    time.Duration // how long adding epoll to gate took
	unparkedAt time.Duration // when the loop was last unparked
	gateConn   syscall.RawConn
	found      int
	hasEvents  func(uintptr) bool // sets found, and reports whether there are events
}

func newPoller(epoch time.Time) (_ *poller, err error) {
	p := &poller{epoch: epoch, epoll: -1, timerFD: -1, gateFD: -1, timerDue: never}
	defer func() {
		if err != nil {
			p.release()
		}
	}()
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if p.timerFD, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	if err = p.watch(int32(p.timerFD), unix.EPOLL_CTL_ADD, 0); err != nil {
		return nil, err
	}
	return p, p.newGate()
}

// newGate opens gate and registers it with Go's poller.
func (p *poller) newGate() (err error) {
	if p.gateFD, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err = unix.SetNonblock(p.gateFD, true); err != nil { // otherwise package os treats it as a file
		return os.NewSyscallError("fcntl", err)
	}
	p.gate = os.NewFile(uintptr(p.gateFD), "epoll")
	if err = p.gate.SetReadDeadline(time.Time{}); err != nil { // fails if Go's poller does not watch it
		return err
	}
	p.hasEvents = func(uintptr) bool {
		p.found = p.poll()
		return p.found > 0
	}
	p.gateConn, err = p.gate.SyscallConn()
	return err
}

func (p *poller) release() {
	if p.gate != nil {
		_ = p.gate.Close()
	} else if p.gateFD >= 0 {
		_ = unix.Close(p.gateFD)
	}
	for _, fd := range [...]int{p.timerFD, p.epoll} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// watch makes epoll report when a descriptor becomes readable or ends, and the
// events in also. Epoll reports each change once.
func (p *poller) watch(fd int32, op int, also uint32) error {
	err := unix.EpollCtl(p.epoll, op, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET | also, Fd: fd})
	return os.NewSyscallError("epoll_ctl", err)
}

// unwatch undoes watch. It fails if epoll does not watch fd, or is closed.
func (p *poller) unwatch(fd int32) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, int(fd), nil))
}

// setTimer makes the next wait end no later than due. The timer's own event may
// be the only one.
func (p *poller) setTimer(due time.Duration) {
	if due >= p.timerDue {
		return
	}
	p.timerDue = due
	at := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(due-time.Since(p.epoch), 1)))}
	_ = unix.TimerfdSettime(p.timerFD, 0, &at, nil) // fails only for invalid times
}

// handleUnowned handles an event of a descriptor without a handler, which may
// be the timer.
func (p *poller) handleUnowned(fd int32, now time.Duration) {
	if fd != int32(p.timerFD) {
		return
	}
	p.timerDue = never
	if p.inGate && now-p.unparkedAt > 1000*p.addCost {
		p.inGate = p.setGateEvents(unix.EPOLL_CTL_DEL, 0) != nil
	}
}

// poll reads the events that have happened, and returns their number. It does
// not wait.
func (p *poller) poll() int { return p.epollWait(0) }

// waitBlocking waits for events or the timer, without telling the scheduler.
func (p *poller) waitBlocking() int { return p.epollWait(-1) }

// waitParked waits for events or the timer, and leaves the thread and its
// processor to the scheduler meanwhile.
func (p *poller) waitParked() int {
	if err := p.openGate(); err != nil { // the kernel is out of memory
		return p.waitBlocking()
	}
	err := p.gateConn.Read(p.hasEvents)
	_ = p.setGateEvents(unix.EPOLL_CTL_MOD, 0)
	p.unparkedAt = time.Since(p.epoch)
	if err != nil { // should not happen while gate is open
		return p.waitBlocking()
	}
	return p.found
}

// openGate makes gate report epoll's events.
func (p *poller) openGate() error {
	if p.inGate {
		return p.setGateEvents(unix.EPOLL_CTL_MOD, unix.EPOLLIN)
	}
	from := time.Now()
	err := p.setGateEvents(unix.EPOLL_CTL_ADD, unix.EPOLLIN)
	p.addCost, p.inGate = time.Since(from), err == nil
	return err
}

// setGateEvents sets which of epoll's events gate reports.
func (p *poller) setGateEvents(op int, events uint32) error {
	err := unix.EpollCtl(p.gateFD, op, p.epoll, &unix.EpollEvent{Events: events})
	return os.NewSyscallError("epoll_ctl", err)
}

// epollWait waits for events for timeout milliseconds, or without a limit if
// timeout is negative. It uses a raw system call; see transfer.
func (p *poller) epollWait(timeout int) int {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events)), uintptr(len(p.events)), uintptr(timeout), 0, 0) //nolint:gosec // p lives until the call returns.
	if errno != 0 {
		return 0 // a signal of the profiler, the garbage collector or the scheduler
	}
	return int(n)
}
