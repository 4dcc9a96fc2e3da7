package relay

import (
	"bytes"
	"io"
	"testing"
	"time"

	"wsauth/internal/wsframe"
)

// unit returns the unit of time in tests of timeouts.
func (w transport) unit() time.Duration {
	if w.pipe {
		return time.Minute
	}
	return 50 * time.Millisecond
}

// checkElapsed fails the test if less than n units have passed since start or,
// in a bubble, more.
func (w transport) checkElapsed(t *testing.T, start time.Time, n int) {
	t.Helper()
	want := time.Duration(n) * w.unit()
	if d := time.Since(start); d < want || w.pipe && d > want {
		t.Errorf("%v have passed, want %v", d, want)
	}
}

func TestIdle(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		idle := 4
		if !w.pipe {
			idle = 20 // so that the next frame comes in time on a busy machine
		}
		g := newRig(t, w, Pair{Idle: time.Duration(idle) * w.unit()})
		time.Sleep(2 * w.unit())
		start := time.Now()
		g.upstream.send(fromUpstream(0x82, 5)) // restarts the idle time
		g.client.wantGets(fromUpstream(0x82, 5))
		g.waitFault("3008 idle_timeout")
		w.checkElapsed(t, start, idle)
		go g.endAndWait()
		g.client.wantGets(endFrame)
		g.wantMasked(endFrame)
		g.endsCleanly(TheRelay, "idle_timeout")
	})
}

// TestControlFramesDoNotPreventIdle checks that pongs of a browser and pings of
// an upstream do not keep an idle socket open. Data of either side does, even
// in the middle of a frame.
func TestControlFramesDoNotPreventIdle(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		long := 1
		if !w.pipe {
			long = 8 // so that the next frame comes in time on a busy machine
		}
		g := newRig(t, w, Pair{Idle: time.Duration(8*long) * w.unit(), Ping: time.Duration(2*long) * w.unit()})
		data := fromClient(0x82, 4)
		g.client.send(data[:len(data)-1])
		g.upstream.wantGets(data[:len(data)-1])
		time.Sleep(w.unit())
		start := time.Now()
		g.client.send(data[len(data)-1:])
		g.upstream.wantGets(data[len(data)-1:])
		for range 3 {
			g.client.wantGets([]byte(wsframe.Ping))
			g.client.send(fromClient(0x8A, 0))
			g.upstream.wantGets(fromClient(0x8A, 0))
			g.upstream.send(fromUpstream(0x89, 3))
			g.client.wantGets(fromUpstream(0x89, 3))
		}
		g.waitFault("3008 idle_timeout")
		w.checkElapsed(t, start, 8*long)
		go g.endAndWait()
		g.client.wantGets(endFrame)
		g.wantMasked(endFrame)
		g.endsCleanly(TheRelay, "idle_timeout")
	})
}

// TestPing checks that a silent client gets a ping, and a client that does not
// answer is disconnected.
func TestPing(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		start := time.Now()
		g := newRig(t, w, Pair{Ping: 2 * w.unit()})
		g.client.wantGets([]byte(wsframe.Ping))
		w.checkElapsed(t, start, 2)
		start = time.Now()
		g.client.send(fromClient(0x8A, 0))
		g.upstream.wantGets(fromClient(0x8A, 0))
		g.client.wantGets([]byte(wsframe.Ping), []byte(wsframe.Ping))
		g.waitFault("3008 idle_timeout")
		w.checkElapsed(t, start, 3*2)
		go g.endAndWait()
		g.client.wantGets(endFrame)
		g.client.wantEnd()
		g.client.hangUp()
		g.upstream.hangUp()
		g.waitClosed(TheClient, "idle_timeout")
	})
}

// TestPingWaitsForABoundary checks that a ping goes between two frames.
func TestPingWaitsForABoundary(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		g := newRig(t, w, Pair{Ping: w.unit()})
		f := fromUpstream(0x02, 300)
		g.upstream.send(f[:100])
		g.client.wantGets(f[:100])
		time.Sleep(5 * w.unit())
		g.upstream.send(f[100:])
		g.client.wantGets(f[100:], []byte(wsframe.Ping))
		g.client.send(fromClient(0x8A, 0))
		g.upstream.wantGets(fromClient(0x8A, 0))
	})
}

// TestP12ClientStalls checks that a client that reads nothing is cut, and the
// relay buffers little for it.
func TestP12ClientStalls(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		g := newRig(t, w, Pair{Stall: 4 * w.unit()})
		sent := make(chan int)
		go func() { sent <- g.upstream.flood(fromUpstream(0x82, 1<<16)) }()
		g.waitClosed(TheClient, "stalled")
		if n := receive(t, sent); n > tooMuch/2 {
			t.Errorf("the upstream sent %d bytes although nobody read", n)
		}
		g.endAndWait()
	})
}

// TestUpstreamStalls checks that the client gets bad_gateway if the upstream
// stalls.
func TestUpstreamStalls(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		start := time.Now()
		g := newRig(t, w, Pair{Stall: 4 * w.unit()})
		go g.client.flood(fromClient(0x82, 1<<16))
		g.client.wantGets(badGateway)
		w.checkElapsed(t, start, 4)
		g.client.wantEnd()
		g.client.hangUp()
		g.waitClosed(TheUpstream, "stalled")
	})
}

// TestSlowReaderDoesNotStall checks that a client that reads slowly is not cut.
func TestSlowReaderDoesNotStall(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		if w.dialBack != nil && w.portable {
			w.dial = w.dialBack // a write over TLS cannot resume after a timeout
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
		g.client.wantGets(all[len(got):])
		if !bytes.HasPrefix(all, got) {
			t.Error("got different bytes than were sent")
		}
	})
}

// TestP11CloseNeverAnswered checks that after a close frame or the end of a
// stream, the tunnel is closed within Grace.
func TestP11CloseNeverAnswered(t *testing.T) {
	for name, begin := range map[string]func(g *rig){
		"close of the client":   func(g *rig) { g.client.send(fromClient(0x88, 2)) },
		"close of the upstream": func(g *rig) { g.upstream.send(fromUpstream(0x88, 2)) },
		"end of the client":     func(g *rig) { g.client.closeWrite() },
		"end of the upstream":   func(g *rig) { g.upstream.closeWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, w transport) {
				w = w.withShortGrace()
				start := time.Now()
				g := newRig(t, w, Pair{})
				begin(g)
				r := receive(t, g.results)
				if d := time.Since(start); d < w.grace || w.pipe && d > w.grace {
					t.Errorf("closed after %v, want %v: %v", d, w.grace, r)
				}
			})
		})
	}
}

// TestP11NobodyReads checks that a tunnel is closed after Grace even if both
// sides are blocked when the upstream ends its stream, so that no read and no
// write returns.
func TestP11NobodyReads(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := newRig(t, transports[0], Pair{Stall: time.Hour})
		flooded := make(chan int, 1)
		go func() { flooded <- g.client.flood(fromClient(0x82, 1<<10)) }()
		start := time.Now()
		g.upstream.closeWrite()
		g.waitClosed(TheUpstream, "eof")
		if d := time.Since(start); d != Grace {
			t.Errorf("closed after %v, want %v", d, Grace)
		}
		if n := receive(t, flooded); n == tooMuch {
			t.Error("the upstream has read")
		}
	})
}
