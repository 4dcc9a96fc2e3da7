//go:build unix

package connlimit

import "golang.org/x/sys/unix"

// mostDescriptors is what counts as no limit.
const mostDescriptors = 1 << 20

// Descriptors returns how many file descriptors the process may have open. Go
// has raised the soft limit to the hard one when the process started.
func Descriptors() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return mostDescriptors
	}
	return int(min(uint64(limit.Cur), mostDescriptors)) //nolint:gosec,unconvert // it is signed on FreeBSD
}
