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

// A noted is a connection that notes how much is to be read and written at
// once.
type noted struct {
	pipe
	mu            sync.Mutex
	reads, writes []int
}

func (n *noted) Read(b []byte) (int, error) {
	n.mu.Lock()
	n.reads = append(n.reads, len(b))
	n.mu.Unlock()
	return n.pipe.Read(b)
}

func (n *noted) Write(b []byte) (int, error) {
	n.mu.Lock()
	n.writes = append(n.writes, len(b))
	n.mu.Unlock()
	return n.pipe.Write(b)
}

// sizes returns what was noted until nothing more happens.
func (n *noted) sizes() (reads, writes []int) {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.reads), slices.Clone(n.writes)
}

// notedPipes dials connections in memory whose near ends are noted in by.
func notedPipes(by **noted) func(t *testing.T) (near, far net.Conn) {
	return func(t *testing.T) (near, far net.Conn) {
		a, far := pipes(t)
		*by = &noted{pipe: a.(pipe)}
		return *by, far
	}
}

// TestReadsGrow: the relay reads more at once from a side that sends much.
func TestReadsGrow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var near *noted
		w := ways[0]
		w.dialBack = notedPipes(&near)
		g := newRig(t, w, Pair{})
		much, little := fromUpstream(0x82, 4*largeRead), fromUpstream(0x82, 5)
		go g.upstream.send(much)
		g.client.gets(much)
		reads, _ := near.sizes()
		if reads[0] != smallRead || slices.Max(reads) != largeRead {
			t.Errorf("much: reads of %v bytes", reads)
		}
		g.upstream.send(little)
		g.client.gets(little)
		if reads, _ = near.sizes(); reads[len(reads)-1] != smallRead {
			t.Errorf("little: reads of %v bytes", reads)
		}
	})
}

// TestWritesAreSplitAtTheEnd: a write that is under way when the tunnel begins
// to end goes on in pieces, and loses no byte.
func TestWritesAreSplitAtTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var near *noted
		w := ways[0]
		w.dialBack = w.dial
		w.dial = notedPipes(&near)
		g := newRig(t, w, Pair{})
		frame, bye := fromUpstream(0x82, 8*largeRead), fromClient(0x88, 2)
		go g.upstream.send(frame)
		g.client.gets(frame[:smallRead+100])
		if _, writes := near.sizes(); writes[len(writes)-1] != largeRead {
			t.Fatalf("writes of %v bytes", writes)
		}
		g.client.send(bye)
		if _, writes := near.sizes(); writes[len(writes)-1] != piece {
			t.Errorf("at the end writes of %v bytes", writes)
		}
		g.client.gets(frame[smallRead+100:])
		g.upstream.gets(bye)
	})
}

// TestPumpsLeaveNothing: a tunnel that is over has no timer left, and its
// relay does not know it.
func TestPumpsLeaveNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := newRig(t, ways[0], Pair{})
		p := g.driver.(*pumps)
		if len(p.relay.pumped) != 1 {
			t.Errorf("the relay knows %d tunnels", len(p.relay.pumped))
		}
		g.client.closeWrite()
		g.upstream.ends()
		g.upstream.hangUp()
		g.client.hangUp()
		g.closes(TheClient, "eof")
		if p.timer == nil || p.timer.Stop() {
			t.Error("the timer was never set, or runs")
		}
		if len(p.relay.pumped) != 0 {
			t.Errorf("the relay knows %d tunnels", len(p.relay.pumped))
		}
	})
}

// A loaded is a connection whose kernel holds bytes for its peer. It notes
// whether it was to drop what it has of the peer's.
type loaded struct {
	pipe
	unsent  int
	dropped atomic.Bool
}

func (l *loaded) Unsent() int { return l.unsent }

func (l *loaded) SyscallConn() (syscall.RawConn, error) {
	l.dropped.Store(true)
	return nil, errors.ErrUnsupported
}

// TestWhoseBytesAreDropped: only after a normal end, and only for a side that
// has bytes on their way to it, the relay drops unread bytes before it closes.
func TestWhoseBytesAreDropped(t *testing.T) {
	for name, tt := range map[string]struct {
		unsent int
		ends   func(g *rig)
		want   bool
	}{
		"a close frame":    {5, func(g *rig) { g.client.send(fromClient(0x88, 2)) }, true},
		"nothing unsent":   {0, func(g *rig) { g.client.send(fromClient(0x88, 2)) }, false},
		"its stream ended": {5, func(g *rig) { g.client.closeWrite() }, false},
		"End":              {5, func(g *rig) { g.End(goodbye, nil) }, false},
		"End, all sent":    {0, func(g *rig) { g.End(goodbye, nil) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var near *loaded
				w := ways[0]
				w.dialBack = w.dial
				w.dial = func(t *testing.T) (net.Conn, net.Conn) {
					a, far := pipes(t)
					near = &loaded{pipe: a.(pipe), unsent: tt.unsent}
					return near, far
				}
				g := newRig(t, w, Pair{})
				tt.ends(g)
				receive(t, g.results)
				if got := near.dropped.Load(); got != tt.want {
					t.Errorf("dropped: %v", got)
				}
			})
		})
	}
}

// stillPumps returns pumps that do not run, of a relay made an hour ago.
func stillPumps(t *testing.T) *pumps {
	p := &pumps{relay: &Relay{epoch: time.Now().Add(-time.Hour)}}
	near, _ := pipes(t)
	back, _ := pipes(t)
	p.core = newCore(Pair{Stall: 3 * time.Hour})
	p.conns = [2]net.Conn{near, back}
	return p
}

// TestReadDeadline: it is set anew where it is over, or later than it must be.
func TestReadDeadline(t *testing.T) {
	const now, at = time.Hour, 2 * time.Hour
	for _, tt := range []struct{ have, at, want time.Duration }{
		{0, 0, 0}, {woken, 0, 0}, {now, 0, 0}, {at, 0, 0},
		{0, at, at}, {woken, at, at}, {now, at, at}, {now + 1, at, now + 1}, {at, at, at}, {at + 1, at, at},
	} {
		synctest.Test(t, func(t *testing.T) {
			for _, s := range []side{client, upstream} {
				p := stillPumps(t)
				p.core.deadline = tt.at
				p.pumps[s].readBy = tt.have
				p.armRead(s)
				if got := p.pumps[s].readBy; got != tt.want {
					t.Errorf("side %d: %v instead of %v, where %v is needed; want %v", s, got, tt.have, tt.at, tt.want)
				}
			}
		})
	}
}

// TestWriteDeadline: a write ends when its destination has stalled, and, while
// the tunnel ends, when there is something else to be done.
func TestWriteDeadline(t *testing.T) {
	const stall, deadline, half = 3 * time.Hour, 2 * time.Hour, time.Hour + time.Minute
	for name, tt := range map[string]struct {
		does func(c *core)
		want [2]time.Duration
	}{
		"nothing ends":       {func(*core) {}, [2]time.Duration{stall, stall}},
		"progress":           {func(c *core) { c.lanes[client].since, c.lanes[upstream].since = 1, 2 }, [2]time.Duration{stall + 1, stall + 2}},
		"an end":             {func(c *core) { c.deadline = deadline }, [2]time.Duration{deadline, deadline}},
		"an end after that":  {func(c *core) { c.deadline = stall + 1 }, [2]time.Duration{stall, stall}},
		"a farewell":         {func(c *core) { c.deadline, c.half = deadline, half }, [2]time.Duration{deadline, half}},
		"a farewell after":   {func(c *core) { c.half = stall + 1 }, [2]time.Duration{stall, stall}},
		"an end by progress": {func(c *core) { c.ending(TheClient, "close", time.Hour) }, [2]time.Duration{time.Hour + wsconn.Longest, time.Hour + wsconn.Longest}},
	} {
		p := stillPumps(t)
		tt.does(p.core)
		if got := [2]time.Duration{p.writeBy(client), p.writeBy(upstream)}; got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// TestRearm: a pump is woken if what it waits for is of no more use, or gets
// the deadline that has changed meanwhile.
func TestRearm(t *testing.T) {
	const deadline, stall, other = 2 * time.Hour, 3 * time.Hour, 4 * time.Hour
	for name, tt := range map[string]struct {
		pump pump
		does func(c *core, l *lane)
		want pump
	}{
		"neither":                {pump{readBy: other, writeBy: other}, func(_ *core, l *lane) { l.phase, l.shutDue = dropping, true }, pump{readBy: other, writeBy: other}},
		"reads on":               {pump{reading: true, readBy: other}, func(c *core, _ *lane) { c.deadline = deadline }, pump{reading: true, readBy: deadline}},
		"reads, and is to shut":  {pump{reading: true}, func(_ *core, l *lane) { l.shutDue = true }, pump{reading: true, readBy: woken}},
		"reads what has ended":   {pump{reading: true}, func(_ *core, l *lane) { l.ended = true }, pump{reading: true, readBy: woken}},
		"reads, and is to write": {pump{reading: true}, func(_ *core, l *lane) { l.wait = goodbye }, pump{reading: true, readBy: woken}},
		"reads, and is to drop":  {pump{reading: true}, func(_ *core, l *lane) { l.phase = dropping }, pump{reading: true}},
		"writes on":              {pump{writing: true, writeBy: stall}, func(*core, *lane) {}, pump{writing: true, writeBy: stall}},
		"writes until the end":   {pump{writing: true, writeBy: stall}, func(c *core, _ *lane) { c.deadline = deadline }, pump{writing: true, writeBy: deadline}},
		"writes, has progress":   {pump{writing: true, writeBy: stall}, func(_ *core, l *lane) { l.since = 1 }, pump{writing: true, writeBy: stall + 1}},
		"writes, is woken":       {pump{writing: true, writeBy: woken}, func(c *core, _ *lane) { c.deadline = deadline }, pump{writing: true, writeBy: woken}},
		"writes, is to finish":   {pump{writing: true, writeBy: stall}, func(_ *core, l *lane) { l.phase = finishing }, pump{writing: true, writeBy: stall}},
		"writes, is to cut":      {pump{writing: true, writeBy: stall}, func(_ *core, l *lane) { l.phase = cutting }, pump{writing: true, writeBy: woken}},
		"writes, is to drop":     {pump{writing: true, writeBy: stall}, func(_ *core, l *lane) { l.phase = dropping }, pump{writing: true, writeBy: woken}},
	} {
		synctest.Test(t, func(t *testing.T) {
			for _, s := range []side{client, upstream} {
				p := stillPumps(t)
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

// TestSlowWritesAreLag: a client is behind if a write had to wait for it, and
// its kernel holds much.
func TestSlowWritesAreLag(t *testing.T) {
	for name, tt := range map[string]struct {
		from   side
		takes  time.Duration
		unsent int
		lags   bool
	}{
		"slow, and much waits":   {upstream, slowWrite, lag, true},
		"slow, but little waits": {upstream, slowWrite, lag - 1, false},
		"fast, but much waits":   {upstream, slowWrite - 1, lag, false},
		"the upstream is slow":   {client, slowWrite, lag, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := ways[0]
				w.dialBack = w.dial
				w.dial = func(t *testing.T) (net.Conn, net.Conn) {
					a, far := pipes(t)
					return &loaded{pipe: a.(pipe), unsent: tt.unsent}, far
				}
				g := newRig(t, w, Pair{})
				from, to, frame := g.upstream, g.client, fromUpstream(0x82, 5)
				if tt.from == client {
					from, to, frame = g.client, g.upstream, fromClient(0x82, 5)
				}
				time.Sleep(time.Second)
				from.send(frame)
				time.Sleep(tt.takes)
				to.gets(frame)
				synctest.Wait()
				p := g.driver.(*pumps)
				p.mu.Lock()
				defer p.mu.Unlock()
				if lags := p.core.lagged > 0; lags != tt.lags {
					t.Errorf("it is behind: %v", lags)
				}
			})
		})
	}
}
