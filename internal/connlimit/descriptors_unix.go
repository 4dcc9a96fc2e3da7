//go:build unix

package connlimit

import "golang.org/x/sys/unix"

// mostDescriptors is so large that it means no limit.
const mostDescriptors = 1 << 20

// Descriptors returns the maximum number of file descriptors of the process.
// Go raises the soft limit to the hard limit on startup.
func Descriptors() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return mostDescriptors
	}
	return int(min(uint64(limit.Cur), mostDescriptors)) //nolint:gosec,unconvert // it is signed on FreeBSD
}
