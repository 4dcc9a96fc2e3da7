package relay

import (
	"time"

	"wsauth/internal/wsframe"
)

// idleTimeout is the fault of an idle tunnel, and of a client that answers no
// pings.
var idleTimeout = &wsframe.Fault{Code: 3008, Reason: "idle_timeout"}

// maxUnansweredPings is how many pings a client may leave unanswered.
const maxUnansweredPings = 2

// never is a time that is never reached.
const never = time.Duration(1<<63 - 1)

var pingFrame = []byte(wsframe.Ping)

// next returns when tick is due if nothing else happens before.
func (c *core) next() time.Duration {
	at := never
	if c.closeFrameDeadline > 0 {
		at = c.closeFrameDeadline
	}
	if c.deadline > 0 {
		at = min(at, c.deadline)
	}
	if c.draining != nil {
		return min(at, c.nextCheck())
	}
	waits := false
	for s := range c.lanes {
		if l := &c.lanes[s]; len(l.pending) > 0 {
			at = min(at, l.pendingSince+c.stallAfter)
			waits = true
		}
	}
	if c.deadline > 0 {
		return at
	}
	if c.idleAfter > 0 && !waits {
		at = min(at, c.idleAt())
	}
	if c.pingEvery > 0 && !c.pingDue {
		at = min(at, c.pingAt())
	}
	return at
}

// idleAt returns when the tunnel will have been idle for too long, with no data
// frame from either side. Control frames do not count, because a browser
// answers every ping on its own. While data is pending, Stall applies instead:
// the relay itself then stops reading.
func (c *core) idleAt() time.Duration {
	return max(c.startedAt, c.lanes[client].check.Used(), c.lanes[upstream].check.Used()) + c.idleAfter
}

func (c *core) pingAt() time.Duration { return c.quietSince + c.pingEvery }

// tick enforces the time limits that have passed, and sends a ping that is due.
func (c *core) tick(now time.Duration) {
	if c.draining != nil && !c.dead && now >= c.nextCheck() {
		c.checkProgress(now)
	}
	switch {
	case c.dead:
		return
	case c.deadline > 0 && now >= c.deadline:
		c.die()
		return
	case c.closeFrameDeadline > 0 && now >= c.closeFrameDeadline:
		c.closeFrameDeadline = 0
		c.giveUpCloseFrame()
	}
	if c.draining != nil {
		return
	}
	waits := false
	for s := range c.lanes {
		if l := &c.lanes[s]; len(l.pending) > 0 {
			waits = true
			if now >= l.pendingSince+c.stallAfter {
				c.cutStalled(side(s).other(), now)
				return
			}
		}
	}
	if c.deadline > 0 {
		return
	}
	if c.idleAfter > 0 && !waits && now >= c.idleAt() {
		c.reportFault(TheRelay, idleTimeout, now)
		return
	}
	if c.pingEvery > 0 && !c.pingDue && now >= c.pingAt() {
		if c.unansweredPings >= maxUnansweredPings {
			c.reportFault(TheClient, idleTimeout, now)
			return
		}
		c.pingDue = true
		c.ping(now)
	}
}

// ping sends the ping that is due, unless the client is in the middle of a
// frame. wrote calls it again at the next boundary.
func (c *core) ping(now time.Duration) {
	l := &c.lanes[upstream]
	if l.phase != flowing || len(l.pending) > 0 || !l.check.Boundary() || l.check.Closed() {
		return
	}
	l.out = l.check.Tracker()
	l.pending, l.pendingSince = pingFrame, now
	c.pingDue = false
	c.quietSince = now
	c.unansweredPings++
}

// giveUpCloseFrame ends the lane to the client, which did not take its close
// frame in time.
func (c *core) giveUpCloseFrame() {
	l := &c.lanes[upstream]
	if l.phase == dropping {
		return
	}
	l.drop()
	l.halfCloseDue, c.changed = true, true
	c.callOnSent()
}

// cutStalled cuts s, which took no bytes for too long.
func (c *core) cutStalled(s side, now time.Duration) {
	c.recordEnd(1+Party(s), "stalled", now)
	if s == client {
		c.die()
		return
	}
	c.cutUpstream(now)
}
