package relay

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of a loop are made by unix.RawSyscall, which does not tell
// the scheduler: that would have it look for work for others each time, which
// costs more than a small message does. None of them blocks, but epollWait,
// which a loop uses for no longer than hold. Those that read and write are
// package sockfd's.

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
