package relay

import (
	"bytes"
	"testing"
	"time"

	"wsauth/internal/eventloop"
	"wsauth/internal/wsconn"
)

// inDriver calls f where the driver calls the core.
func (g *rig) inDriver(f func(c *core)) {
	g.t.Helper()
	if p, ok := g.driver.(*pumpDriver); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		f(p.core)
		return
	}
	done := make(chan struct{})
	if !g.driver.(*loopDriver).loop.Post(func() { f(&g.core); close(done) }) {
		g.t.Fatal("the loop is closed")
	}
	receive(g.t, done)
}

// becomesTrue reports whether done returns true within limit.
func becomesTrue(limit time.Duration, done func() bool) bool {
	for start := time.Now(); !done(); time.Sleep(time.Millisecond) {
		if time.Since(start) > limit {
			return false
		}
	}
	return true
}

// windowProbe exceeds the time that TCP takes to probe a full window.
const windowProbe = 300 * time.Millisecond

// TestG15_ClosingKeepsWhatIsOnItsWay checks that a client that has read nothing
// when the relay closes still gets much data and a close frame of the upstream.
// The client's own bytes, which the upstream did not take, must not cause a
// reset: the client would lose what the relay's kernel still holds for it.
func TestG15_ClosingKeepsWhatIsOnItsWay(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		if w.pipe {
			return // a pipe has no kernel buffer
		}
		r := newRelay(t, Grace, eventloop.Options{Loops: 1, Portable: w.portable})
		g := rigOf(t, r, w, Pair{})
		read := func(s side) (n int) {
			g.inDriver(func(c *core) { n = int(c.lanes[s].bytes) })
			return n
		}
		// The upstream takes nothing more, so the relay stops reading.
		sent := 0
		allRead := func() bool { return read(client) == sent }
		for becomesTrue(windowProbe, allRead) {
			frame := fromClient(0x82, 1<<14)
			g.client.send(frame)
			sent += len(frame)
		}
		g.client.send(bytes.Repeat(fromClient(0x82, 1<<14), 4)) // more than the upstream takes at the end
		until(t, "the relay's kernel has it", func() bool { return wsconn.Unsent(g.client.Conn) == 0 })

		var all []byte
		passOn := func(frame []byte) {
			g.upstream.send(frame)
			all = append(all, frame...)
			until(t, "the relay's kernel has it", func() (written bool) {
				g.inDriver(func(c *core) {
					l := &c.lanes[upstream]
					written = int(l.bytes) == len(all) && len(l.pending) == 0
				})
				return written
			})
		}
		fewOnTheirWay := func() (few bool) {
			g.inDriver(func(c *core) { few = c.driver.unsent(client) < 1<<14 })
			return few
		}
		for becomesTrue(windowProbe/10, fewOnTheirWay) || becomesTrue(windowProbe, fewOnTheirWay) {
			passOn(fromUpstream(0x82, 1<<14))
		}
		passOn(fromUpstream(0x88, 20))
		closeNow(t, r)
		g.waitClosed(TheUpstream, "close")
		g.client.wantGets(all)
		g.client.wantEnd()
	})
}
