package relay

import (
	"bytes"
	"io"
	"testing"
	"time"

	"wsauth/internal/wsframe"
)

// unit is the time that tests of time count in.
func (w way) unit() time.Duration {
	if w.pipe {
		return time.Minute
	}
	return 50 * time.Millisecond
}

// took fails if less than n units, or in a bubble more, have passed.
func (w way) took(t *testing.T, begun time.Time, n int) {
	t.Helper()
	want := time.Duration(n) * w.unit()
	if d := time.Since(begun); d < want || w.pipe && d > want {
		t.Errorf("it took %v, want %v", d, want)
	}
}

func TestIdle(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		idle := 4
		if !w.pipe {
			idle = 20 // what is sent next must come in time on a busy machine
		}
		g := newRig(t, w, Pair{Idle: time.Duration(idle) * w.unit()})
		time.Sleep(2 * w.unit())
		begun := time.Now()
		g.upstream.send(fromUpstream(0x82, 5)) // any byte will do
		g.client.gets(fromUpstream(0x82, 5))
		g.faulted("3008 idle_timeout")
		w.took(t, begun, idle)
		go g.bye()
		g.client.gets(goodbye)
		g.getsMasked(goodbye)
		g.endsPolitely(TheRelay, "idle_timeout")
	})
}

// TestPongsAreNoUse: a browser that answers the relay's pings, and an upstream
// with pings of its own, do not keep a socket that nobody uses. Data of either
// side does, also in the middle of a frame.
func TestPongsAreNoUse(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		long := 1
		if !w.pipe {
			long = 8 // what is sent next must come in time on a busy machine
		}
		g := newRig(t, w, Pair{Idle: time.Duration(8*long) * w.unit(), Ping: time.Duration(2*long) * w.unit()})
		data := fromClient(0x82, 4)
		g.client.send(data[:len(data)-1])
		g.upstream.gets(data[:len(data)-1])
		time.Sleep(w.unit())
		begun := time.Now()
		g.client.send(data[len(data)-1:])
		g.upstream.gets(data[len(data)-1:])
		for range 3 {
			g.client.gets([]byte(wsframe.Ping))
			g.client.send(fromClient(0x8A, 0))
			g.upstream.gets(fromClient(0x8A, 0))
			g.upstream.send(fromUpstream(0x89, 3))
			g.client.gets(fromUpstream(0x89, 3))
		}
		g.faulted("3008 idle_timeout")
		w.took(t, begun, 8*long)
		go g.bye()
		g.client.gets(goodbye)
		g.getsMasked(goodbye)
		g.endsPolitely(TheRelay, "idle_timeout")
	})
}

// TestPing: a client that is silent is asked, and one that does not answer is
// gone.
func TestPing(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		begun := time.Now()
		g := newRig(t, w, Pair{Ping: 2 * w.unit()})
		g.client.gets([]byte(wsframe.Ping))
		w.took(t, begun, 2)
		begun = time.Now()
		g.client.send(fromClient(0x8A, 0))
		g.upstream.gets(fromClient(0x8A, 0))
		g.client.gets([]byte(wsframe.Ping), []byte(wsframe.Ping))
		g.faulted("3008 idle_timeout")
		w.took(t, begun, 3*2)
		go g.bye()
		g.client.gets(goodbye)
		g.client.ends()
		g.client.hangUp()
		g.upstream.hangUp()
		g.closes(TheClient, "idle_timeout")
	})
}

// TestPingWaitsForABoundary: it goes between two frames.
func TestPingWaitsForABoundary(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		g := newRig(t, w, Pair{Ping: w.unit()})
		f := fromUpstream(0x02, 300)
		g.upstream.send(f[:100])
		g.client.gets(f[:100])
		time.Sleep(5 * w.unit())
		g.upstream.send(f[100:])
		g.client.gets(f[100:], []byte(wsframe.Ping))
		g.client.send(fromClient(0x8A, 0))
		g.upstream.gets(fromClient(0x8A, 0))
	})
}

// TestP12ClientStalls: what waits for it is bounded, and the time too.
func TestP12ClientStalls(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		g := newRig(t, w, Pair{Stall: 4 * w.unit()})
		sent := make(chan int)
		go func() { sent <- g.upstream.flood(fromUpstream(0x82, 1<<16)) }()
		g.closes(TheClient, "stalled")
		if n := receive(t, sent); n > tooMuch/2 {
			t.Errorf("the upstream sent %d bytes that nobody took", n)
		}
		g.bye()
	})
}

// TestUpstreamStalls: the client learns that it is not to blame.
func TestUpstreamStalls(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		begun := time.Now()
		g := newRig(t, w, Pair{Stall: 4 * w.unit()})
		go g.client.flood(fromClient(0x82, 1<<16))
		g.client.gets(badGateway)
		w.took(t, begun, 4)
		g.client.ends()
		g.client.hangUp()
		g.closes(TheUpstream, "stalled")
	})
}

// TestSlowIsNoStall: who takes a little now and then may be slow.
func TestSlowIsNoStall(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		if w.dialBack != nil && w.portable {
			w.dial = w.dialBack // a write of TLS that ran out of time cannot go on
		}
		g := newRig(t, w, Pair{Stall: 8 * w.unit()})
		all := bytes.Repeat(fromUpstream(0x82, 1<<16), 30)
		go g.upstream.send(all)
		got := make([]byte, 0, len(all))
		for range 6 {
			time.Sleep(2 * w.unit())
			part := make([]byte, 200<<10)
			if _, err := io.ReadFull(g.client, part); err != nil {
				t.Fatal(err)
			}
			got = append(got, part...)
		}
		g.client.gets(all[len(got):])
		if !bytes.HasPrefix(all, got) {
			t.Error("other bytes than were sent")
		}
	})
}

// TestP11CloseNeverAnswered: Grace bounds what a close frame, or the end of a
// stream, has begun.
func TestP11CloseNeverAnswered(t *testing.T) {
	for name, begin := range map[string]func(g *rig){
		"close of the client":   func(g *rig) { g.client.send(fromClient(0x88, 2)) },
		"close of the upstream": func(g *rig) { g.upstream.send(fromUpstream(0x88, 2)) },
		"end of the client":     func(g *rig) { g.client.closeWrite() },
		"end of the upstream":   func(g *rig) { g.upstream.closeWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w way) {
				w = w.hurried()
				begun := time.Now()
				g := newRig(t, w, Pair{})
				begin(g)
				r := receive(t, g.results)
				if d := time.Since(begun); d < w.grace || w.pipe && d > w.grace {
					t.Errorf("closed after %v: %v", d, r)
				}
			})
		})
	}
}

// TestP11NobodyReads: both sides are blocked when the upstream ends its
// stream, so that no read and no write comes back to tell the time. The tunnel
// is over after Grace all the same.
func TestP11NobodyReads(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := newRig(t, ways[0], Pair{Stall: time.Hour})
		flooded := make(chan int, 1)
		go func() { flooded <- g.client.flood(fromClient(0x82, 1<<10)) }()
		begun := time.Now()
		g.upstream.closeWrite()
		g.closes(TheUpstream, "eof")
		if d := time.Since(begun); d != Grace {
			t.Errorf("closed after %v", d)
		}
		if n := receive(t, flooded); n == tooMuch {
			t.Error("the upstream has read")
		}
	})
}
