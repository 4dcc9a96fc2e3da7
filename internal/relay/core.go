package relay

import (
	"crypto/rand"
	"sync/atomic"
	"time"

	"wsauth/internal/wsconn"
	"wsauth/internal/wsframe"
)

// badGateway is the close frame that tells the client that the upstream failed.
var badGateway = wsframe.AppendClose(nil, 1014, "bad_gateway")

// A core is the state of a tunnel, and decides what to do. It does no I/O: a
// driver reports the bytes that arrived (received), the end of a stream
// (finished), and how many pending bytes it wrote (wrote). After each report
// the driver does what the core asks for: write pending, half-close
// (halfCloseDue), close one connection (cut) or both (dead), and make the
// calls. Times are durations since an epoch that the driver chooses.
//
// Calls to a core must not overlap.
type core struct {
	driver driver
	grace  time.Duration // Grace, except in tests
	lanes  [2]lane

	// Fields of the Pair that the lanes do not have. A whole Pair would take
	// 112 more bytes for each tunnel.
	idleAfter, pingEvery, stallAfter time.Duration
	onFault                          func(code int, reason, limit string)
	onClosed                         func(Result)

	deadline           time.Duration // when both connections are closed; 0: the tunnel is not ending
	closeFrameDeadline time.Duration // when the client's close frame is given up; 0: never
	onSent             func()        // the callback of End, until it is called
	awaitsEnd          bool          // Fault was called, and the owner has not called End
	dead               bool
	changed            bool        // a time or a phase changed, not only bytes
	by                 Party       // who ended the tunnel first
	endCalled          atomic.Bool // Tunnel.End was called
	reason             string

	// Set if a close frame, EOF or reset of a peer ended the tunnel: the
	// deadline then moves while a side still takes data. Nil otherwise, and
	// after End.
	draining *drain

	startedAt  time.Duration // when the tunnel started
	quietSince time.Duration // when the client last sent something or got a ping
	lag        lagTracker

	calls callQueue // for the driver to make
}

func (c *core) begin(p Pair, grace, now time.Duration) {
	c.grace = grace
	c.idleAfter, c.pingEvery, c.stallAfter = p.Idle, p.Ping, p.Stall
	c.onFault, c.onClosed = p.Fault, p.Closed
	c.startedAt, c.quietSince = now, now
	c.lanes[client].early, c.lanes[upstream].early = p.FromClient, p.FromUpstream
	c.lanes[client].check = wsframe.Checker{Client: true, Deflate: p.Deflate, MaxFrame: p.MaxFrame, MaxMessage: p.MaxMessage, MaxFragments: p.MaxFragments}
	c.lanes[upstream].check = wsframe.Checker{Deflate: p.Deflate}
}

// received handles n bytes from s, which begin at buf[headroom]. While bytes
// are pending in the lane, the driver must not reuse buf, unless it has
// replaced pending with a copy.
func (c *core) received(s side, buf []byte, n int, now time.Duration) {
	l := &c.lanes[s]
	if s == client {
		c.quietSince = now
		back := &c.lanes[upstream]
		back.unansweredPings, back.pingDue = 0, false
		l.check.SkipPongs = l.startsWithPong(buf[headroom]) && !back.check.Pinged() && c.lag.clientLags(c.driver, now)
	} else {
		c.lag.received(n, now)
	}
	fault := l.receive(buf, n, now)
	if l.phase != flowing {
		c.settle(s, now)
		return
	}
	if l.check.Closed() && c.deadline == 0 {
		c.recordEnd(1+Party(s), "close", now)
	}
	if fault != nil {
		c.frameFault(s, fault, now)
	}
}

// wrote records that n pending bytes of s's lane were written to its
// destination. A non-nil err means that the destination accepts no more.
func (c *core) wrote(s side, n int, err error, now time.Duration) {
	l := &c.lanes[s]
	l.inFlight = false
	if l.phase == dropping {
		return
	}
	if n > 0 {
		l.pendingSince = now
	}
	if n == len(l.pending) && l.phase == flowing {
		l.pending = nil
		if l.pingDue && l.ping(now) {
			c.quietSince = now
		}
	} else {
		l.out.Advance(l.pending[:n])
		l.pending = l.pending[n:]
	}
	if err != nil {
		c.recordEnd(1+Party(s.other()), "reset", now)
		c.lose(s.other())
		c.closeIfDone()
		return
	}
	c.settle(s, now)
}

// finished records EOF (nil err) or a read error from s.
func (c *core) finished(s side, err error, now time.Duration) {
	l := &c.lanes[s]
	reason := "eof"
	if err != nil {
		reason = "reset"
		c.lose(s)
	}
	c.recordEnd(1+Party(s), reason, now)
	l.ended = true
	if l.phase <= muted {
		broken := s == upstream && !l.check.Closed() && !c.lanes[client].check.Closed()
		if broken {
			l.endWith(badGateway)
		} else {
			l.enter(closing)
		}
	}
	c.settle(s, now)
	c.closeIfDone()
}

// end implements [Tunnel.End].
func (c *core) end(frame []byte, sent func(), now time.Duration) {
	if c.dead {
		c.calls.add(sent)
		return
	}
	c.recordEnd(TheOwner, "ended", now)
	c.draining = nil // a side that still takes data gets no more time
	c.deadline = min(c.deadline, now+c.grace)
	if c.awaitsEnd {
		c.awaitsEnd = false
		c.deadline = now + c.grace
	}
	c.closeFrameDeadline = min(now+c.grace/2, c.deadline)
	c.onSent = sent
	c.changed = true
	if l := &c.lanes[client]; l.phase != dropping {
		var key [4]byte
		_, _ = rand.Read(key[:]) // never fails
		l.enter(cutting)
		l.trimPending, l.closeFrame = true, wsframe.AppendMasked(nil, frame, key)
		c.settle(client, now)
	}
	if l := &c.lanes[upstream]; l.phase != dropping {
		l.enter(finishing)
		l.trimPending, l.closeFrame = true, frame
		c.settle(upstream, now)
	} else {
		c.callOnSent()
	}
	c.closeIfDone()
}

// settle advances the lane of s when nothing is pending in it: first to its
// close frame, then to the half-close.
func (c *core) settle(s side, now time.Duration) {
	l := &c.lanes[s]
	if l.phase < finishing || l.phase == dropping || l.inFlight {
		return
	}
	if l.trimPending {
		n, _ := l.out.ToBoundary(l.pending)
		if l.phase == cutting {
			n = 0
		}
		l.pending = l.pending[:n]
	}
	if len(l.pending) > 0 {
		return
	}
	c.changed = true
	if l.phase != closing {
		if l.phase == finishing && !l.out.Boundary() && !l.ended {
			return
		}
		l.phase, l.trimPending = closing, false
		if l.closeFrame != nil && l.out.Boundary() && !l.out.Closed() {
			l.pending, l.closeFrame, l.pendingSince = l.closeFrame, nil, now
			return
		}
	}
	l.drop()
	l.halfCloseDue = true
	if s == upstream {
		c.callOnSent()
	}
	c.closeIfDone()
}

// halfClosed records that the connection to the destination of s's lane was
// half-closed. A non-nil err means that this failed and the destination is
// lost.
func (c *core) halfClosed(s side, err error, now time.Duration) {
	c.lanes[s].halfCloseDue = false
	if err != nil {
		c.finished(s.other(), err, now)
	}
	c.closeIfDone()
}

// frameFault handles a frame of s that breaks a rule.
func (c *core) frameFault(s side, fault *wsframe.Fault, now time.Duration) {
	if s == upstream {
		c.recordEnd(TheUpstream, "bad_gateway", now)
		c.cutUpstream(now)
		return
	}
	c.reportFault(TheClient, fault, now)
}

// reportFault reports a fault to the owner, and passes on nothing more from the
// client. Without a Fault callback it ends the tunnel.
func (c *core) reportFault(by Party, fault *wsframe.Fault, now time.Duration) {
	first := c.deadline == 0
	c.recordEnd(by, fault.Reason, now)
	c.lanes[client].enter(muted)
	if c.onFault == nil {
		c.end(wsframe.AppendClose(nil, fault.Code, fault.Reason), nil, now)
		return
	}
	c.awaitsEnd = first
	c.calls.add(func() { c.onFault(fault.Code, fault.Reason, fault.Limit) })
}

// cutUpstream closes the connection to the upstream at once, and tells the
// client.
func (c *core) cutUpstream(now time.Duration) {
	c.lose(upstream)
	l := &c.lanes[upstream]
	l.cut, l.ended = true, true
	l.endWith(badGateway)
	c.settle(upstream, now)
	c.closeIfDone()
}

// lose records that s accepts no more bytes, and drops those pending for it.
func (c *core) lose(s side) {
	l := &c.lanes[s.other()]
	l.drop()
	l.lost, l.halfCloseDue = true, false
	c.changed = true
	if s == client {
		c.callOnSent()
	}
}

// recordEnd records who ended the tunnel and why, and starts the grace period.
// Later calls do nothing.
func (c *core) recordEnd(by Party, reason string, now time.Duration) {
	if c.deadline == 0 {
		c.deadline = now + c.grace
		c.by, c.reason = by, reason
		c.changed = true
		switch reason {
		case "close", "eof", "reset":
			c.draining = &drain{endedAt: now, checkedAt: now}
		}
	}
}

// checkProgress extends the deadline if a side still has bytes to take and
// takes them fast enough.
func (c *core) checkProgress(now time.Duration) {
	f := c.draining
	f.checkedAt = now
	for s := range f.progress {
		l := &c.lanes[side(s).other()]
		unsent := 0
		if !l.lost {
			unsent = len(l.pending) + c.driver.unsent(side(s))
		}
		if f.progress[s].Enough(l.bytes-int64(unsent), now) && unsent > 0 {
			c.deadline = max(c.deadline, min(now+c.grace, f.endedAt+wsconn.MaxGrace))
		}
	}
	c.closeIfDone()
}

// closeIfDone closes the tunnel if nothing is left to do.
func (c *core) closeIfDone() {
	up, back := &c.lanes[client], &c.lanes[upstream]
	if up.isDone() && back.isDone() || back.lost && up.ended && len(up.pending) == 0 && !up.halfCloseDue && !c.hasUnsent(upstream) {
		c.markDead()
	}
}

// hasUnsent reports whether the kernel still holds bytes for s, and s has time
// left to take them.
func (c *core) hasUnsent(s side) bool {
	return c.draining != nil && !c.lanes[s.other()].lost && c.driver.unsent(s) > 0
}

func (c *core) markDead() {
	c.dead, c.changed = true, true
	c.callOnSent()
}

func (c *core) callOnSent() {
	c.calls.add(c.onSent)
	c.onSent = nil
}

func (c *core) result() Result {
	return Result{c.lanes[client].traffic(), c.lanes[upstream].traffic(), c.by, c.reason}
}

// A callQueue holds functions for a driver to call.
type callQueue []func()

// add adds f, unless it is nil.
func (q *callQueue) add(f func()) {
	if f != nil {
		*q = append(*q, f)
	}
}
