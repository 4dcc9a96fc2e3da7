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
		return min(at, c.draining.nextCheck(c.grace))
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
	if c.pingEvery > 0 && !c.lanes[upstream].pingDue {
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
	if c.draining != nil && !c.dead && now >= c.draining.nextCheck(c.grace) {
		c.checkProgress(now)
	}
	switch {
	case c.dead:
		return
	case c.deadline > 0 && now >= c.deadline:
		c.markDead()
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
	back := &c.lanes[upstream]
	if c.pingEvery > 0 && !back.pingDue && now >= c.pingAt() {
		if back.unansweredPings >= maxUnansweredPings {
			c.reportFault(TheClient, idleTimeout, now)
			return
		}
		back.pingDue = true
		if back.ping(now) {
			c.quietSince = now
		}
	}
}

// giveUpCloseFrame ends the lane to a client that did not take its close frame
// in time.
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
		c.markDead()
		return
	}
	c.cutUpstream(now)
}
