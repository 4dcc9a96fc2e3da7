package relay

import (
	"crypto/rand"
	"sync/atomic"
	"time"

	"wsauth/internal/wsconn"
	"wsauth/internal/wsframe"
)

// badGateway tells the client that it is not to blame.
var badGateway = wsframe.AppendClose(nil, 1014, "bad_gateway")

// A core is what a tunnel knows. A driver tells it what came (got), that
// nothing more comes (finished), and how much it wrote of what waits in a lane
// (wrote); after each it does what the core wants done: write wait, half-close
// (shutDue), close a connection (cut) or both (dead), make the calls. Times are
// counted from any moment that stays.
//
// A driver has one goroutine at a time call a core.
type core struct {
	driver driver
	grace  time.Duration // Grace
	lanes  [2]lane

	// Fields of the Pair; the lanes have the others. A Pair as a whole would
	// take 112 bytes more of each tunnel.
	idleAfter, pingEvery, stallAfter time.Duration
	onFault                          func(code int, reason, limit string)
	onClosed                         func(Result)

	deadline time.Duration // when both connections are closed; 0: nothing has ended yet
	half     time.Duration // when the farewell of End is given up; 0: never
	said     func()        // of End, as long as it is owed
	awaited  bool          // the client is at fault, and End is to come
	gone     [2]bool       // takes no more bytes
	cut      [2]bool       // to be closed before the other
	dead     bool
	pingDue  bool // a ping goes out at the next boundary
	changed  bool // more has changed than bytes that came and went: times, phases

	// After an end by a peer, the deadline follows the progress of those that
	// still take data; never after End, a fault or a stall, when it is nil.
	following *following
	reason    string

	began      time.Duration // when the tunnel began
	quietSince time.Duration // when the client last sent something or got a ping
	lagged     time.Duration // when the client was last seen to be behind; 0: never
	burstBegan time.Duration // when burst was last 0
	burst      uint16        // bytes from the upstream since burstBegan, at most lag
	pings      uint8         // since the client last sent something
	by         Party         // who ended the tunnel first
	ended      atomic.Bool   // Tunnel.End was called

	calls []func() // to be made by the driver
}

// A following is the progress of a tunnel that ends. Most tunnels have none.
type following struct {
	endedAt  time.Duration // when the tunnel began to end
	looked   time.Duration // when progress was last looked at
	progress [2]wsconn.Progress
}

func (c *core) begin(p Pair, grace, now time.Duration) {
	c.grace = grace
	c.idleAfter, c.pingEvery, c.stallAfter = p.Idle, p.Ping, p.Stall
	c.onFault, c.onClosed = p.Fault, p.Closed
	c.began, c.quietSince = now, now
	c.lanes[client].first, c.lanes[upstream].first = p.FromClient, p.FromUpstream
	c.lanes[client].check = wsframe.Checker{Client: true, Deflate: p.Deflate, MaxFrame: p.MaxFrame, MaxMessage: p.MaxMessage, MaxFragments: p.MaxFragments}
	c.lanes[upstream].check = wsframe.Checker{Deflate: p.Deflate}
}

// got takes n bytes that came from s, which are at buf[room]. The driver leaves
// buf alone until the lane waits for nothing, or gives the lane a copy.
func (c *core) got(s side, buf []byte, n int, now time.Duration) {
	l := &c.lanes[s]
	if s == client {
		c.quietSince = now
		c.pings, c.pingDue = 0, false
		l.check.SkipPongs = l.startsWithPong(buf[room]) && !c.lanes[upstream].check.Pinged() && c.lags(now)
	} else {
		c.count(n, now)
	}
	fault := l.take(buf, n, now)
	if l.phase != flowing {
		c.settle(s, now)
		return
	}
	if l.check.Closed() && c.deadline == 0 {
		c.ending(1+Party(s), "close", now)
	}
	if fault != nil {
		c.violated(s, fault, now)
	}
}

// count takes that n bytes came from the upstream. Where many come within
// lagTime, more are likely to follow than the client takes at once, however
// little a single read finds.
func (c *core) count(n int, now time.Duration) {
	if now >= c.burstBegan+lagTime {
		c.burst, c.burstBegan = 0, now
	}
	if c.burst = uint16(min(int(c.burst)+n, lag)); c.burst == lag {
		c.lagged = now
	}
}

// lags reports whether the client is behind with what the upstream sends. The
// upstream may have closed its connection by then, and left it to its kernel
// to send the rest. A kernel that gets more on such a connection drops what it
// has left. So pongs that the upstream never asked for, such as the answers to
// the relay's pings, are left out as long as the client is behind.
func (c *core) lags(now time.Duration) bool {
	return c.lagged > 0 && now < c.lagged+lagTime || c.driver.unsent(client) >= lag
}

const (
	lag     = 16 << 10    // bytes on their way to a client that is behind, or that come within lagTime
	lagTime = time.Second // how long one that was behind counts as such
)

// wrote takes that the destination of s's lane took n bytes of those that wait,
// and the error with which it will take no more.
func (c *core) wrote(s side, n int, err error, now time.Duration) {
	l := &c.lanes[s]
	l.flight = false
	if l.phase == dropping {
		return
	}
	if n > 0 {
		l.since = now
	}
	if n == len(l.wait) && l.phase == flowing {
		l.wait = nil
		if c.pingDue && s == upstream {
			c.ping(now)
		}
	} else {
		l.out.Advance(l.wait[:n])
		l.wait = l.wait[n:]
	}
	if err != nil {
		c.ending(1+Party(s.other()), "reset", now)
		c.lose(s.other())
		c.over()
		return
	}
	c.settle(s, now)
}

// finished takes that s sends nothing more: it has ended its stream, or it is
// lost (err).
func (c *core) finished(s side, err error, now time.Duration) {
	l := &c.lanes[s]
	reason := "eof"
	if err != nil {
		reason = "reset"
		c.lose(s)
	}
	c.ending(1+Party(s), reason, now)
	l.ended = true
	if l.phase <= muted {
		broken := s == upstream && !l.check.Closed() && !c.lanes[client].check.Closed()
		if broken {
			c.fail()
		} else {
			l.enter(last)
		}
	}
	c.settle(s, now)
	c.over()
}

// end is Tunnel.End.
func (c *core) end(frame []byte, said func(), now time.Duration) {
	if c.dead {
		c.call(said)
		return
	}
	c.ending(TheOwner, "ended", now)
	c.unfollow(now)
	if c.awaited {
		c.awaited = false
		c.deadline = now + c.grace
	}
	c.half = min(now+c.grace/2, c.deadline)
	c.said = said
	c.changed = true
	if l := &c.lanes[client]; l.phase != dropping {
		var key [4]byte
		_, _ = rand.Read(key[:]) // never fails
		l.enter(cutting)
		l.trim, l.goodbye = true, wsframe.AppendMasked(nil, frame, key)
		c.settle(client, now)
	}
	if l := &c.lanes[upstream]; l.phase != dropping {
		l.enter(finishing)
		l.trim, l.goodbye = true, frame
		c.settle(upstream, now)
	} else {
		c.saidAll()
	}
	c.over()
}

// settle moves the lane of s on when nothing waits in it: to the last words,
// and from there to the end.
func (c *core) settle(s side, now time.Duration) {
	l := &c.lanes[s]
	if l.phase < finishing || l.phase == dropping || l.flight {
		return
	}
	if l.trim {
		n, _ := l.out.ToBoundary(l.wait)
		if l.phase == cutting {
			n = 0
		}
		l.wait = l.wait[:n]
	}
	if len(l.wait) > 0 {
		return
	}
	c.changed = true
	if l.phase != last {
		if l.phase == finishing && !l.out.Boundary() && !l.ended {
			return
		}
		l.phase, l.trim = last, false
		if l.goodbye != nil && l.out.Boundary() && !l.out.Closed() {
			l.wait, l.goodbye, l.since = l.goodbye, nil, now
			return
		}
	}
	l.drop()
	l.shutDue = true
	if s == upstream {
		c.saidAll()
	}
	c.over()
}

// wasShut takes that the destination of s's lane was told the end, or could not
// be told it and is lost.
func (c *core) wasShut(s side, err error, now time.Duration) {
	c.lanes[s].shutDue = false
	if err != nil {
		c.finished(s.other(), err, now)
	}
	c.over()
}

// violated ends what s sends for a fault that it made.
func (c *core) violated(s side, fault *wsframe.Fault, now time.Duration) {
	if s == upstream {
		c.ending(TheUpstream, "bad_gateway", now)
		c.sever(now)
		return
	}
	c.blame(TheClient, fault, now)
}

// blame tells the owner a fault of the client's.
func (c *core) blame(by Party, fault *wsframe.Fault, now time.Duration) {
	first := c.deadline == 0
	c.ending(by, fault.Reason, now)
	c.lanes[client].enter(muted)
	if c.onFault == nil {
		c.end(wsframe.AppendClose(nil, fault.Code, fault.Reason), nil, now)
		return
	}
	c.awaited = first
	c.call(func() { c.onFault(fault.Code, fault.Reason, fault.Limit) })
}

// sever takes nothing more of an upstream that is of no more use, and cuts it.
func (c *core) sever(now time.Duration) {
	c.lose(upstream)
	c.cut[upstream] = true
	c.lanes[upstream].ended = true
	c.fail()
	c.settle(upstream, now)
	c.over()
}

// fail has the lane to the client end with badGateway, unless it has an end.
func (c *core) fail() {
	if l := &c.lanes[upstream]; l.phase <= muted {
		l.enter(finishing)
		l.goodbye = badGateway
	}
}

// lose gives up all that s would be sent.
func (c *core) lose(s side) {
	c.gone[s] = true
	l := &c.lanes[s.other()]
	l.drop()
	l.shutDue = false
	c.changed = true
	if s == client {
		c.saidAll()
	}
}

// ending notes the first thing that ends the tunnel.
func (c *core) ending(by Party, reason string, now time.Duration) {
	if c.deadline == 0 {
		c.deadline = now + c.grace
		c.by, c.reason = by, reason
		c.changed = true
		switch reason {
		case "close", "eof", "reset":
			c.following = &following{endedAt: now, looked: now}
		}
	}
}

// unfollow has the tunnel end within Grace, whatever progress there is.
func (c *core) unfollow(now time.Duration) {
	c.following = nil
	c.deadline = min(c.deadline, now+c.grace)
}

// lookAt is when to look at progress next.
func (c *core) lookAt() time.Duration { return c.following.looked + c.grace/wsconn.Looks }

// look extends the deadline where a side has not taken all that it was sent,
// and takes it fast enough.
func (c *core) look(now time.Duration) {
	f := c.following
	f.looked = now
	for s := range f.progress {
		l := &c.lanes[side(s).other()]
		unsent := 0
		if !c.gone[s] {
			unsent = len(l.wait) + c.driver.unsent(side(s))
		}
		if f.progress[s].Enough(l.bytes-int64(unsent), now) && unsent > 0 {
			c.deadline = max(c.deadline, min(now+c.grace, f.endedAt+wsconn.Longest))
		}
	}
	c.over()
}

// over looks whether there is nothing left to do.
func (c *core) over() {
	up, back := &c.lanes[client], &c.lanes[upstream]
	if up.over() && back.over() || c.gone[client] && up.ended && len(up.wait) == 0 && !up.shutDue && !c.owes(upstream) {
		c.die()
	}
}

// owes reports whether s is to be given time to take what the kernel holds for
// it.
func (c *core) owes(s side) bool { return c.following != nil && !c.gone[s] && c.driver.unsent(s) > 0 }

func (l *lane) over() bool { return l.ended && l.phase == dropping && !l.shutDue }

func (c *core) die() {
	c.dead, c.changed = true, true
	c.saidAll()
}

func (c *core) saidAll() {
	c.call(c.said)
	c.said = nil
}

func (c *core) call(f func()) {
	if f != nil {
		c.calls = append(c.calls, f)
	}
}

func (c *core) result() Result {
	return Result{c.lanes[client].traffic(), c.lanes[upstream].traffic(), c.by, c.reason}
}
