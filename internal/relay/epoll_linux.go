package relay

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of a loop are made by unix.RawSyscall, which does not tell
// the scheduler: that would have it look for work for others each time, which
// costs more than a small message does. None of them blocks, but epollWait,
// which a loop uses for no longer than hold.

// recv reads from fd, and returns 0 at the end of the stream.
func recv(fd int32, p []byte) (int, error) {
	return transfer(unix.SYS_RECVFROM, fd, p, unix.MSG_DONTWAIT)
}

// send writes to fd. It raises no SIGPIPE.
func send(fd int32, p []byte) (int, error) {
	return transfer(unix.SYS_SENDTO, fd, p, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

func transfer(call uintptr, fd int32, p []byte, flags uintptr) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0) //nolint:gosec // p lives until the call returns.
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, unix.EAGAIN
		default:
			return 0, errno
		}
	}
}

// epollWait waits for events without telling the scheduler.
func epollWait(fd int, events []unix.EpollEvent, timeout time.Duration) int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), milliseconds(timeout), 0, 0) //nolint:gosec // events live until the call returns.
	if errno != 0 {
		return 0 // a signal: of the profiler, or of a garbage collection that waits
	}
	return int(n)
}

// epollSleep waits for events, and lets the scheduler use the time.
func epollSleep(fd int, events []unix.EpollEvent, timeout time.Duration) int {
	n, err := unix.EpollWait(fd, events, int(int32(milliseconds(timeout)))) //nolint:gosec // at most a day
	if err != nil {
		return 0
	}
	return n
}

// milliseconds rounds up, so that what is due is due when the wait is over.
func milliseconds(d time.Duration) uintptr {
	return uintptr((min(d, 24*time.Hour) + time.Millisecond - 1) / time.Millisecond)
}
