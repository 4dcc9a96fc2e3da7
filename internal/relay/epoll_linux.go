package relay

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// holding is for how long after an event a loop waits for more by a system call
// of its own (hold), which the scheduler does not know of. That is as fast as in
// a program without a scheduler, but it keeps a place of the scheduler's, and as
// long as it does the runtime's monitor thread wakes up a hundred times a second.
// After that the loop waits as any goroutine does that reads from a socket
// (rest), which costs some microseconds more when something comes, and nothing
// until then.
//
// A garbage collection that stops the world has to wait for a loop that holds:
// the runtime's signal ends the wait, and is repeated should it come just before
// one. Where those signals are turned off, the wait ends with the hold.
const holding = 10 * time.Millisecond

// A poller waits for the events of a loop's sockets.
type poller struct {
	born   time.Time
	epoll  int
	events [128]unix.EpollEvent // that the last wait has found

	// A wait with a timeout sets a timer of the system's each time. This one
	// stays when events come before it is due, and is set anew when it was.
	alarm int           // a timerfd
	due   time.Duration // when it goes off; never where it is not set

	// Go's poller would be woken by each event if it watched epoll itself. It
	// watches gate, an epoll that tells of epoll's events while the loop rests.
	// As long as gate watches epoll, each event costs a little more; but to
	// begin costs the more the more sockets there are, since the system looks
	// through all of them for a circle of epolls. So gate goes on watching, for
	// nothing, until the loop has been awake for a long time beside that.
	gate     *os.File
	gates    int // its descriptor
	watching bool
	begun    time.Duration // how long it took to begin
	rested   time.Duration // when the loop last did
	wait     syscall.RawConn
	found    int
	look     func(uintptr) bool // for what there is, into found
}

func newPoller(born time.Time) (_ *poller, err error) {
	p := &poller{born: born, epoll: -1, alarm: -1, gates: -1, due: never}
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

// newGate has Go's poller watch gate.
func (p *poller) newGate() (err error) {
	if p.gates, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err = unix.SetNonblock(p.gates, true); err != nil { // or os takes it for a file
		return os.NewSyscallError("fcntl", err)
	}
	p.gate = os.NewFile(uintptr(p.gates), "epoll")
	if err = p.gate.SetReadDeadline(time.Time{}); err != nil { // Go's poller did not take it
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

// watch has epoll tell of changes of a descriptor, and of what else.
func (p *poller) watch(fd int32, op int, also uint32) error {
	err := unix.EpollCtl(p.epoll, op, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET | also, Fd: fd})
	return os.NewSyscallError("epoll_ctl", err)
}

// wakeAt has the next wait be over at due, or before. There may be an event then
// which is nobody's.
func (p *poller) wakeAt(due time.Duration) {
	if due >= p.due {
		return
	}
	p.due = due
	at := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(due-time.Since(p.born), 1)))}
	_ = unix.TimerfdSettime(p.alarm, 0, &at, nil) // no time of a loop's is one that it refuses
}

// woke takes an event that is nobody's, which may be the alarm.
func (p *poller) woke(fd int32, now time.Duration) {
	if fd != int32(p.alarm) {
		return
	}
	p.due = never
	if p.watching && now-p.rested > 1000*p.begun {
		p.watching = p.turnGate(unix.EPOLL_CTL_DEL, 0) != nil
	}
}

// peek returns how many events there are.
func (p *poller) peek() int { return p.ask(0) }

// hold waits for events, or the alarm, without telling the scheduler.
func (p *poller) hold() int { return p.ask(-1) }

// rest waits for events, or the alarm, and lets the scheduler use the time and
// the thread.
func (p *poller) rest() int {
	if err := p.openGate(); err != nil { // the system has no memory left: the loop goes on, if at a price
		return p.hold()
	}
	err := p.wait.Read(p.look)
	_ = p.turnGate(unix.EPOLL_CTL_MOD, 0)
	p.rested = time.Since(p.born)
	if err != nil { // as long as gate is there, there is no reason for one
		return p.hold()
	}
	return p.found
}

// openGate has gate tell of epoll's events.
func (p *poller) openGate() error {
	if p.watching {
		return p.turnGate(unix.EPOLL_CTL_MOD, unix.EPOLLIN)
	}
	from := time.Now()
	err := p.turnGate(unix.EPOLL_CTL_ADD, unix.EPOLLIN)
	p.begun, p.watching = time.Since(from), err == nil
	return err
}

// turnGate has gate tell of some of epoll's events, or of none.
func (p *poller) turnGate(op int, events uint32) error {
	err := unix.EpollCtl(p.gates, op, p.epoll, &unix.EpollEvent{Events: events})
	return os.NewSyscallError("epoll_ctl", err)
}

// ask waits for events for so many milliseconds, or, if that is less than 0,
// for ever. It is made by a raw system call, which does not tell the scheduler:
// that would have it look for work for others each time, which costs more than
// a small message does. The calls that read and write are package eventloop's.
func (p *poller) ask(timeout int) int {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events)), uintptr(len(p.events)), uintptr(timeout), 0, 0) //nolint:gosec // p lives until the call returns.
	if errno != 0 {
		return 0 // a signal: of the profiler, of a garbage collection that waits, or of the scheduler
	}
	return int(n)
}
