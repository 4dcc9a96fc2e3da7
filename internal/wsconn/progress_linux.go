package wsconn

import (
	"syscall"
	"unsafe"
)

// unsentOf is like Unsent, but takes a descriptor (SIOCOUTQ, see tcp(7) and
// unix(7)).
func unsentOf(fd uintptr) int {
	var n int32
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&n))) //nolint:gosec // n lives until the call returns.
	if errno != 0 {
		return 0
	}
	return int(n)
}
