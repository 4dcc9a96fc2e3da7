package wsconn

import (
	"net"
	"syscall"
	"time"
)

// After a normal end of a stream, whoever still takes data gets more time than
// Grace, as long as it takes leastRate bytes a second, up to Longest. Progress
// is looked at every Grace/Looks.
const (
	Longest   = 60 * time.Second
	Looks     = 5
	leastRate = 1 << 10
)

// A Progress measures how fast a peer takes what it is sent.
type Progress struct {
	begun   time.Duration
	base    int64
	started bool
}

// Enough records that the peer has taken so many bytes in all by now, and
// reports whether it has been fast enough since the first call. The first
// returns false.
func (p *Progress) Enough(taken int64, now time.Duration) bool {
	if !p.started {
		*p = Progress{now, taken, true}
		return false
	}
	return float64(taken-p.base) >= leastRate*(now-p.begun).Seconds()
}

// Unsent returns how many bytes the kernel has taken for the peer of conn and
// the peer has not acknowledged; 0 where that is unknown.
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
	_ = raw.Control(func(fd uintptr) { n = UnsentOf(fd) }) // 0 if it is closed
	return n
}
