package wsconn

import (
	"net"
	"syscall"
	"time"
)

// After a normal end of a stream, a peer that still receives data gets more
// time than Grace, up to MaxGrace, while it receives at least leastRate bytes
// per second. Progress is checked every Grace/ChecksPerGrace.
const (
	MaxGrace       = 60 * time.Second
	ChecksPerGrace = 5
	leastRate      = 1 << 10
)

// A Progress measures how fast a peer receives data.
type Progress struct {
	startedAt time.Duration
	base      int64
	started   bool
}

// Enough records that the peer has received taken bytes in total by now. It
// reports whether the peer has been fast enough since the first call. The
// first call returns false.
func (p *Progress) Enough(taken int64, now time.Duration) bool {
	if !p.started {
		*p = Progress{now, taken, true}
		return false
	}
	return float64(taken-p.base) >= leastRate*(now-p.startedAt).Seconds()
}

// Unsent returns the number of bytes that were written to conn but not
// acknowledged by the peer, or 0 if that is unknown.
func Unsent(conn net.Conn) int {
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = over.NetConn()
	}
	if c, ok := conn.(interface{ Unsent() int }); ok {
		return c.Unsent()
	}
	c, ok := conn.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	_ = raw.Control(func(fd uintptr) { n = unsentOf(fd) }) // 0 if it is closed
	return n
}
