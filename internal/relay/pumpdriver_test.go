package relay

import (
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/internal/wsconn"
)

// A recordingConn records the sizes of reads and writes.
type recordingConn struct {
	pipe
	mu            sync.Mutex
	reads, writes []int
}

func (n *recordingConn) Read(b []byte) (int, error) {
	n.mu.Lock()
	n.reads = append(n.reads, len(b))
	n.mu.Unlock()
	return n.pipe.Read(b)
}

func (n *recordingConn) Write(b []byte) (int, error) {
	n.mu.Lock()
	n.writes = append(n.writes, len(b))
	n.mu.Unlock()
	return n.pipe.Write(b)
}

// sizes returns the sizes recorded once the bubble is idle.
func (n *recordingConn) sizes() (reads, writes []int) {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.reads), slices.Clone(n.writes)
}

// recordingPipes returns a dial function for connections in memory. It stores
// the near end in by.
func recordingPipes(by **recordingConn) func(t *testing.T) (near, far net.Conn) {
	return func(t *testing.T) (near, far net.Conn) {
		a, far := pipes(t)
		*by = &recordingConn{pipe: a.(pipe)}
		return *by, far
	}
}

// TestReadsGrow checks that the relay uses larger reads for a side that sends
// much.
func TestReadsGrow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var near *recordingConn
		w := transports[0]
		w.dialBack = recordingPipes(&near)
		g := newRig(t, w, Pair{})
		much, little := fromUpstream(0x82, 4*largeRead), fromUpstream(0x82, 5)
		go g.upstream.send(much)
		g.client.wantGets(much)
		reads, _ := near.sizes()
		if reads[0] != smallRead || slices.Max(reads) != largeRead {
			t.Errorf("much: reads of %v bytes", reads)
		}
		g.upstream.send(little)
		g.client.wantGets(little)
		if reads, _ = near.sizes(); reads[len(reads)-1] != smallRead {
			t.Errorf("little: reads of %v bytes", reads)
		}
	})
}

// TestWritesAreSplitAtTheEnd checks that a write in progress when the tunnel
// starts to end continues in pieces, and loses no byte.
func TestWritesAreSplitAtTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var near *recordingConn
		w := transports[0]
		w.dialBack = w.dial
		w.dial = recordingPipes(&near)
		g := newRig(t, w, Pair{})
		frame, bye := fromUpstream(0x82, 8*largeRead), fromClient(0x88, 2)
		go g.upstream.send(frame)
		g.client.wantGets(frame[:smallRead+100])
		if _, writes := near.sizes(); writes[len(writes)-1] != largeRead {
			t.Fatalf("writes of %v bytes, want the last of %d", writes, largeRead)
		}
		g.client.send(bye)
		if _, writes := near.sizes(); writes[len(writes)-1] != maxWrite {
			t.Errorf("at the end writes of %v bytes, want the last of %d", writes, maxWrite)
		}
		g.client.wantGets(frame[smallRead+100:])
		g.upstream.wantGets(bye)
	})
}

// TestPumpsLeaveNothing checks that a tunnel that has closed has no timer, and
// is removed from its relay.
func TestPumpsLeaveNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := newRig(t, transports[0], Pair{})
		p := g.driver.(*pumpDriver)
		if len(p.relay.pumped) != 1 {
			t.Errorf("the relay has %d tunnels", len(p.relay.pumped))
		}
		g.client.closeWrite()
		g.upstream.wantEnd()
		g.upstream.hangUp()
		g.client.hangUp()
		g.waitClosed(TheClient, "eof")
		if p.timer == nil || p.timer.Stop() {
			t.Error("the timer was never set, or still runs")
		}
		if len(p.relay.pumped) != 0 {
			t.Errorf("the relay has %d tunnels", len(p.relay.pumped))
		}
	})
}

// An unsentConn is a connection that reports unsent bytes. It records whether
// the relay discards its unread bytes.
type unsentConn struct {
	pipe
	unsent  int
	dropped atomic.Bool
}

func (l *unsentConn) Unsent() int { return l.unsent }

func (l *unsentConn) SyscallConn() (syscall.RawConn, error) {
	l.dropped.Store(true)
	return nil, errors.ErrUnsupported
}

// TestWhoseBytesAreDropped checks that the relay, before it closes a
// connection, discards unread bytes only after a normal end, and only from a
// side with bytes on their way to it.
func TestWhoseBytesAreDropped(t *testing.T) {
	for name, tt := range map[string]struct {
		unsent int
		ends   func(g *rig)
		want   bool
	}{
		"a close frame":    {5, func(g *rig) { g.client.send(fromClient(0x88, 2)) }, true},
		"nothing unsent":   {0, func(g *rig) { g.client.send(fromClient(0x88, 2)) }, false},
		"its stream ended": {5, func(g *rig) { g.client.closeWrite() }, false},
		"End":              {5, func(g *rig) { g.End(endFrame, nil) }, false},
		"End, all sent":    {0, func(g *rig) { g.End(endFrame, nil) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var near *unsentConn
				w := transports[0]
				w.dialBack = w.dial
				w.dial = func(t *testing.T) (net.Conn, net.Conn) {
					a, far := pipes(t)
					near = &unsentConn{pipe: a.(pipe), unsent: tt.unsent}
					return near, far
				}
				g := newRig(t, w, Pair{})
				tt.ends(g)
				receive(t, g.results)
				if got := near.dropped.Load(); got != tt.want {
					t.Errorf("dropped: %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// idlePumps returns a driver whose goroutines do not run, of a relay that
// started an hour ago.
func idlePumps(t *testing.T) *pumpDriver {
	p := &pumpDriver{relay: &Relay{epoch: time.Now().Add(-time.Hour)}}
	near, _ := pipes(t)
	back, _ := pipes(t)
	p.core = newCore(Pair{Stall: 3 * time.Hour})
	p.conns = [2]net.Conn{near, back}
	return p
}

// TestReadDeadline checks that a deadline is replaced if it has passed or is
// too late.
func TestReadDeadline(t *testing.T) {
	const now, at = time.Hour, 2 * time.Hour
	for _, tt := range []struct{ have, at, want time.Duration }{
		{0, 0, 0}, {wakeNow, 0, 0}, {now, 0, 0}, {at, 0, 0},
		{0, at, at}, {wakeNow, at, at}, {now, at, at}, {now + 1, at, now + 1}, {at, at, at}, {at + 1, at, at},
	} {
		synctest.Test(t, func(t *testing.T) {
			for _, s := range []side{client, upstream} {
				p := idlePumps(t)
				p.core.deadline = tt.at
				p.pumps[s].readDeadline = tt.have
				p.ensureReadDeadline(s)
				if got := p.pumps[s].readDeadline; got != tt.want {
					t.Errorf("side %d: deadline %v, needed by %v: set to %v, want %v", s, tt.have, tt.at, got, tt.want)
				}
			}
		})
	}
}

// TestWriteDeadline checks that a write may last until its destination has
// stalled and, while the tunnel is ending, until the next deadline.
func TestWriteDeadline(t *testing.T) {
	const stall, deadline, half = 3 * time.Hour, 2 * time.Hour, time.Hour + time.Minute
	for name, tt := range map[string]struct {
		does func(c *core)
		want [2]time.Duration
	}{
		"nothing ends":       {func(*core) {}, [2]time.Duration{stall, stall}},
		"progress":           {func(c *core) { c.lanes[client].pendingSince, c.lanes[upstream].pendingSince = 1, 2 }, [2]time.Duration{stall + 1, stall + 2}},
		"an end":             {func(c *core) { c.deadline = deadline }, [2]time.Duration{deadline, deadline}},
		"an end after that":  {func(c *core) { c.deadline = stall + 1 }, [2]time.Duration{stall, stall}},
		"a farewell":         {func(c *core) { c.deadline, c.closeFrameDeadline = deadline, half }, [2]time.Duration{deadline, half}},
		"a farewell after":   {func(c *core) { c.closeFrameDeadline = stall + 1 }, [2]time.Duration{stall, stall}},
		"an end by progress": {func(c *core) { c.recordEnd(TheClient, "close", time.Hour) }, [2]time.Duration{time.Hour + wsconn.MaxGrace, time.Hour + wsconn.MaxGrace}},
	} {
		p := idlePumps(t)
		tt.does(p.core)
		if got := [2]time.Duration{p.writeDeadline(client), p.writeDeadline(upstream)}; got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// TestRearm checks that a pump is woken if it must no longer wait, and
// otherwise gets the new deadline.
func TestRearm(t *testing.T) {
	const deadline, stall, other = 2 * time.Hour, 3 * time.Hour, 4 * time.Hour
	for name, tt := range map[string]struct {
		pump pump
		does func(c *core, l *lane)
		want pump
	}{
		"neither":                {pump{readDeadline: other, writeDeadline: other}, func(_ *core, l *lane) { l.phase, l.halfCloseDue = dropping, true }, pump{readDeadline: other, writeDeadline: other}},
		"reads on":               {pump{reading: true, readDeadline: other}, func(c *core, _ *lane) { c.deadline = deadline }, pump{reading: true, readDeadline: deadline}},
		"reads, and is to shut":  {pump{reading: true}, func(_ *core, l *lane) { l.halfCloseDue = true }, pump{reading: true, readDeadline: wakeNow}},
		"reads what has ended":   {pump{reading: true}, func(_ *core, l *lane) { l.ended = true }, pump{reading: true, readDeadline: wakeNow}},
		"reads, and is to write": {pump{reading: true}, func(_ *core, l *lane) { l.pending = endFrame }, pump{reading: true, readDeadline: wakeNow}},
		"reads, and is to drop":  {pump{reading: true}, func(_ *core, l *lane) { l.phase = dropping }, pump{reading: true}},
		"writes on":              {pump{writing: true, writeDeadline: stall}, func(*core, *lane) {}, pump{writing: true, writeDeadline: stall}},
		"writes until the end":   {pump{writing: true, writeDeadline: stall}, func(c *core, _ *lane) { c.deadline = deadline }, pump{writing: true, writeDeadline: deadline}},
		"writes, has progress":   {pump{writing: true, writeDeadline: stall}, func(_ *core, l *lane) { l.pendingSince = 1 }, pump{writing: true, writeDeadline: stall + 1}},
		"writes, is woken":       {pump{writing: true, writeDeadline: wakeNow}, func(c *core, _ *lane) { c.deadline = deadline }, pump{writing: true, writeDeadline: wakeNow}},
		"writes, is to finish":   {pump{writing: true, writeDeadline: stall}, func(_ *core, l *lane) { l.phase = finishing }, pump{writing: true, writeDeadline: stall}},
		"writes, is to cut":      {pump{writing: true, writeDeadline: stall}, func(_ *core, l *lane) { l.phase = cutting }, pump{writing: true, writeDeadline: wakeNow}},
		"writes, is to drop":     {pump{writing: true, writeDeadline: stall}, func(_ *core, l *lane) { l.phase = dropping }, pump{writing: true, writeDeadline: wakeNow}},
	} {
		synctest.Test(t, func(t *testing.T) {
			for _, s := range []side{client, upstream} {
				p := idlePumps(t)
				p.pumps[s] = tt.pump
				tt.does(p.core, &p.core.lanes[s])
				p.rearm(s)
				if p.pumps[s] != tt.want || p.pumps[s.other()] != (pump{}) {
					t.Errorf("%s, side %d: %+v and %+v, want %+v", name, s, p.pumps[s], p.pumps[s.other()], tt.want)
				}
			}
		})
	}
}

// TestSlowWritesAreLag checks that a client is behind if a write had to wait
// for it and many bytes are unsent.
func TestSlowWritesAreLag(t *testing.T) {
	for name, tt := range map[string]struct {
		from   side
		takes  time.Duration
		unsent int
		lags   bool
	}{
		"slow, and much waits":   {upstream, slowWrite, lagBytes, true},
		"slow, but little waits": {upstream, slowWrite, lagBytes - 1, false},
		"fast, but much waits":   {upstream, slowWrite - 1, lagBytes, false},
		"the upstream is slow":   {client, slowWrite, lagBytes, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := transports[0]
				w.dialBack = w.dial
				w.dial = func(t *testing.T) (net.Conn, net.Conn) {
					a, far := pipes(t)
					return &unsentConn{pipe: a.(pipe), unsent: tt.unsent}, far
				}
				g := newRig(t, w, Pair{})
				from, to, frame := g.upstream, g.client, fromUpstream(0x82, 5)
				if tt.from == client {
					from, to, frame = g.client, g.upstream, fromClient(0x82, 5)
				}
				time.Sleep(time.Second)
				from.send(frame)
				time.Sleep(tt.takes)
				to.wantGets(frame)
				synctest.Wait()
				p := g.driver.(*pumpDriver)
				p.mu.Lock()
				defer p.mu.Unlock()
				if lags := p.core.lag.laggedAt > 0; lags != tt.lags {
					t.Errorf("client is behind: %v, want %v", lags, tt.lags)
				}
			})
		})
	}
}
