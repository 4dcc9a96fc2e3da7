package relay

import (
	"time"

	"wsauth/internal/wsconn"
)

const (
	lagBytes = 16 << 10    // a client lags if this many bytes for it are unsent, or arrived within lagTime
	lagTime  = time.Second // how long it is then assumed to lag
)

// A lagTracker tracks whether the client is behind with what the upstream
// sends. The upstream may already have closed its connection and left the rest
// to its kernel. If more data arrives on such a connection, the kernel drops
// what it has not sent. So unsolicited pongs, such as the answers to the
// relay's pings, are not passed on while the client is behind.
type lagTracker struct {
	laggedAt   time.Duration // when the client was last behind; 0: never
	burstStart time.Duration // when burst was last 0
	burst      uint16        // bytes from the upstream since burstStart, at most lagBytes
}

// received records that n bytes came from the upstream. If many come within
// lagTime, the client is assumed to lag, even if each read finds few bytes.
func (t *lagTracker) received(n int, now time.Duration) {
	if now >= t.burstStart+lagTime {
		t.burst, t.burstStart = 0, now
	}
	if t.burst = uint16(min(int(t.burst)+n, lagBytes)); t.burst == lagBytes {
		t.laggedAt = now
	}
}

// clientLags reports whether the client is behind.
func (t *lagTracker) clientLags(d driver, now time.Duration) bool {
	return t.laggedAt > 0 && now < t.laggedAt+lagTime || d.unsent(client) >= lagBytes
}

// A drain tracks the progress of a tunnel that is ending. It is allocated
// separately, because most tunnels have none.
type drain struct {
	endedAt   time.Duration // when the tunnel started to end
	checkedAt time.Duration // when progress was last checked
	progress  [2]wsconn.Progress
}

// nextCheck returns when progress must be checked next.
func (d *drain) nextCheck(grace time.Duration) time.Duration {
	return d.checkedAt + grace/wsconn.ChecksPerGrace
}
