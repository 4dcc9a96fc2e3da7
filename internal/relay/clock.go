package relay

import (
	"time"

	"wsauth/internal/wsframe"
)

// idleTimeout is the fault of silence, and of pings that stay unanswered.
var idleTimeout = &wsframe.Fault{Code: 3008, Reason: "idle_timeout"}

// unanswered is how many pings a client may leave unanswered.
const unanswered = 2

// never is a time that does not come.
const never = time.Duration(1<<63 - 1)

var pingFrame = []byte(wsframe.Ping)

// next is when tick has something to do, if nothing happens before.
func (c *core) next() time.Duration {
	at := never
	if c.half > 0 {
		at = c.half
	}
	if c.deadline > 0 {
		at = min(at, c.deadline)
	}
	if c.following != nil {
		return min(at, c.lookAt())
	}
	waits := false
	for s := range c.lanes {
		if l := &c.lanes[s]; len(l.wait) > 0 {
			at = min(at, l.since+c.stallAfter)
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

// idleAt returns when both sides will have sent no data frame for too long.
// Control frames do not count: a browser answers every ping by itself. While
// data waits, Stall counts instead: silence is then what the relay asks for.
func (c *core) idleAt() time.Duration {
	return max(c.began, c.lanes[client].check.Used(), c.lanes[upstream].check.Used()) + c.idleAfter
}

func (c *core) pingAt() time.Duration { return c.quietSince + c.pingEvery }

// tick does what is due.
func (c *core) tick(now time.Duration) {
	if c.following != nil && !c.dead && now >= c.lookAt() {
		c.look(now)
	}
	switch {
	case c.dead:
		return
	case c.deadline > 0 && now >= c.deadline:
		c.die()
		return
	case c.half > 0 && now >= c.half:
		c.half = 0
		c.giveUp()
	}
	if c.following != nil {
		return
	}
	waits := false
	for s := range c.lanes {
		if l := &c.lanes[s]; len(l.wait) > 0 {
			waits = true
			if now >= l.since+c.stallAfter {
				c.stalled(side(s).other(), now)
				return
			}
		}
	}
	if c.deadline > 0 {
		return
	}
	if c.idleAfter > 0 && !waits && now >= c.idleAt() {
		c.blame(TheRelay, idleTimeout, now)
		return
	}
	if c.pingEvery > 0 && !c.pingDue && now >= c.pingAt() {
		if c.pings >= unanswered {
			c.blame(TheClient, idleTimeout, now)
			return
		}
		c.pingDue = true
		c.ping(now)
	}
}

// ping sends the ping that is due, if one may stand here.
func (c *core) ping(now time.Duration) {
	l := &c.lanes[upstream]
	if l.phase != flowing || len(l.wait) > 0 || !l.check.Boundary() || l.check.Closed() {
		return
	}
	l.out = l.check.Tracker()
	l.wait, l.since = pingFrame, now
	c.pingDue = false
	c.quietSince = now
	c.pings++
}

// giveUp ends the lane to the client, whose farewell could not be said in time.
func (c *core) giveUp() {
	l := &c.lanes[upstream]
	if l.phase == dropping {
		return
	}
	l.drop()
	l.shutDue, c.changed = true, true
	c.saidAll()
}

// stalled cuts s, which took nothing for too long.
func (c *core) stalled(s side, now time.Duration) {
	c.ending(1+Party(s), "stalled", now)
	if s == client {
		c.die()
		return
	}
	c.sever(now)
}
