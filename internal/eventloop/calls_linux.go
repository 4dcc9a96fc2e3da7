package eventloop

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls are made by syscall.RawSyscall6, which does not tell the scheduler: that would have it look for work for others each
// time, which costs more than a small message does. None of them blocks.

// Recv reads from a socket, and returns 0 at the end of the stream. It does not wait: where nothing is there yet it returns unix.EAGAIN.
func Recv(fd int32, p []byte) (int, error) {
	return transfer(unix.SYS_RECVFROM, fd, p, unix.MSG_DONTWAIT)
}

// Send writes to a socket what it takes at once, and returns unix.EAGAIN where that is nothing. It raises no SIGPIPE.
func Send(fd int32, p []byte) (int, error) {
	return transfer(unix.SYS_SENDTO, fd, p, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// Drop reads and drops what has come on a socket, up to about most bytes. It
// does not wait.
func Drop(fd int32, most int) {
	var space [8 << 10]byte
	for most > 0 {
		n, err := Recv(fd, space[:])
		if n == 0 || err != nil {
			return
		}
		most -= n
	}
}

func transfer(call uintptr, fd int32, p []byte, flags uintptr) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0) //nolint:gosec // p lives until the call returns.
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
