package relay

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"wsauth/internal/eventloop"
	"wsauth/internal/wsframe"
)

// endsCleanly fails unless both sides get the end of the stream, and the tunnel
// ends after they hang up.
func (g *rig) endsCleanly(by Party, reason string) {
	g.t.Helper()
	g.client.wantEnd()
	g.upstream.wantEnd()
	g.client.hangUp()
	g.upstream.hangUp()
	g.waitClosed(by, reason)
}

func TestEndBetweenFrames(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		g := newRig(t, w, Pair{})
		g.client.send(fromClient(0x82, 300))
		g.upstream.wantGets(fromClient(0x82, 300))
		g.upstream.send(fromUpstream(0x82, 300))
		g.client.wantGets(fromUpstream(0x82, 300))
		go g.endAndWait()
		g.client.wantGets(endFrame)
		g.wantMasked(endFrame)
		g.endsCleanly(TheOwner, "ended")
	})
}

// TestEndOfAnIdleTunnel checks that End works before any byte was carried.
func TestEndOfAnIdleTunnel(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		g := newRig(t, w, Pair{})
		go g.endAndWait()
		g.client.wantGets(endFrame)
		g.wantMasked(endFrame)
		g.endsCleanly(TheOwner, "ended")
	})
}

// TestEndInsideTheClientsFrame checks that the frame is cut off, so the
// upstream gets no close frame.
func TestEndInsideTheClientsFrame(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		g := newRig(t, w, Pair{})
		f := fromClient(0x82, 300)
		g.client.send(f[:100])
		g.upstream.wantGets(f[:100])
		go g.endAndWait()
		g.client.wantGets(endFrame)
		g.client.send(f[100:], fromClient(0x82, 5))
		g.endsCleanly(TheOwner, "ended")
	})
}

// TestEndInsideTheClientsHead checks that the upstream gets a close frame if no
// byte of the client's frame has reached it.
func TestEndInsideTheClientsHead(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		g := newRig(t, w, Pair{})
		f := fromClient(0x82, 300)
		g.client.send(fromClient(0x81, 2), f[:7])
		g.upstream.wantGets(fromClient(0x81, 2))
		go g.endAndWait()
		g.client.wantGets(endFrame)
		g.wantMasked(endFrame)
		g.client.send(f[7:])
		g.endsCleanly(TheOwner, "ended")
	})
}

// TestEndInsideTheUpstreamsFrame checks that the close frame follows the end of
// the frame.
func TestEndInsideTheUpstreamsFrame(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		g := newRig(t, w, Pair{})
		f := fromUpstream(0x82, 300)
		g.upstream.send(f[:100])
		g.client.wantGets(f[:100])
		frameSent := make(chan struct{})
		g.End(endFrame, func() { close(frameSent) })
		g.wantMasked(endFrame)
		select {
		case <-frameSent:
			t.Error("End called back inside a frame")
		default:
		}
		g.upstream.send(f[100:200])
		g.client.wantGets(f[100:200])
		g.upstream.send(f[200:], fromUpstream(0x82, 5))
		g.client.wantGets(f[200:], endFrame)
		receive(t, frameSent)
		g.endsCleanly(TheOwner, "ended")
	})
}

// TestEndInsideAFrameThatIsNeverFinished checks that the close frame is given
// up after half of Grace.
func TestEndInsideAFrameThatIsNeverFinished(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		if !w.pipe {
			w.grace = 4 * time.Second // so that a busy machine reads the end of the stream before Grace is over
		}
		g := newRig(t, w, Pair{})
		f := fromUpstream(0x82, 300)
		start := time.Now() // before the frame: a busy loop may see End with the time of an earlier event
		g.upstream.send(f[:100])
		g.client.wantGets(f[:100])
		g.endAndWait()
		if d := time.Since(start); d < w.grace/2 || w.pipe && d > w.grace/2 {
			t.Errorf("given up after %v, want %v", d, w.grace/2)
		}
		g.client.wantEnd()
		g.client.wantCut()
		g.waitClosed(TheOwner, "ended")
		if d := time.Since(start); d < w.grace || w.pipe && d > w.grace {
			t.Errorf("closed after %v, want %v", d, w.grace)
		}
	})
}

// TestEndAfterACloseFrame checks that no side gets a second close frame.
func TestEndAfterACloseFrame(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		g := newRig(t, w, Pair{})
		g.client.send(fromClient(0x88, 2))
		g.upstream.wantGets(fromClient(0x88, 2))
		g.upstream.send(fromUpstream(0x88, 2))
		g.client.wantGets(fromUpstream(0x88, 2))
		g.endAndWait()
		g.endsCleanly(TheClient, "close")
	})
}

// TestEndInsideTheUpstreamsCloseFrame checks that the client gets the
// upstream's close frame and no other.
func TestEndInsideTheUpstreamsCloseFrame(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		g := newRig(t, w, Pair{})
		f := fromUpstream(0x88, 20)
		g.upstream.send(f[:10])
		g.client.wantGets(f[:10])
		go g.endAndWait()
		g.wantMasked(endFrame)
		g.upstream.send(f[10:])
		g.client.wantGets(f[10:])
		g.endsCleanly(TheUpstream, "close")
	})
}

// TestEndTwice checks that the second End does nothing.
func TestEndTwice(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		g := newRig(t, w, Pair{})
		go func() {
			g.endAndWait()
			g.End(wsframe.AppendClose(nil, 1000, "again"), func() { t.Error("the second End called back") })
		}()
		g.client.wantGets(endFrame)
		g.wantMasked(endFrame)
		g.endsCleanly(TheOwner, "ended")
	})
}

// TestEndAtOnce checks that End works before the relay has handled any event of
// the tunnel.
func TestEndAtOnce(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		early := fromUpstream(0x82, 300)
		g := newRig(t, w, Pair{FromUpstream: early})
		go g.End(endFrame, nil)
		got := make([]byte, len(endFrame))
		if _, err := io.ReadFull(g.client, got); err != nil {
			t.Fatal(err)
		}
		if bytes.HasPrefix(early, got) { // it came first
			g.client.wantGets(early[len(got):], endFrame)
		} else if !bytes.Equal(got, endFrame) {
			t.Errorf("the client got % x, want % x", got, endFrame)
		}
		g.wantMasked(endFrame)
		g.endsCleanly(TheOwner, "ended")
	})
}

// TestEndOfAClosedTunnel checks that End calls back after the tunnel has
// closed.
func TestEndOfAClosedTunnel(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		w = w.withShortGrace()
		g := newRig(t, w, Pair{})
		g.client.reset()
		g.waitClosed(TheClient, "reset")
		g.endAndWait()
	})
}

// TestEndAfterTheUpstreamHasLeft checks that End calls back at once if the
// client already got the end of the stream, because it cannot get a close frame
// then. The upstream, which still reads, gets its close frame.
func TestEndAfterTheUpstreamHasLeft(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		g := newRig(t, w, Pair{})
		g.upstream.send(fromUpstream(0x88, 2))
		g.upstream.closeWrite()
		g.client.wantGets(fromUpstream(0x88, 2))
		g.client.wantEnd()
		start := time.Now()
		g.endAndWait()
		if d := time.Since(start); w.pipe && d > 0 {
			t.Errorf("End called back after %v, want at once", d)
		}
		g.wantMasked(endFrame)
		g.upstream.wantEnd()
		g.client.hangUp()
		g.upstream.hangUp()
		g.waitClosed(TheUpstream, "close")
	})
}

// TestEndWithoutHalfClose checks that a connection that cannot be half-closed
// is closed once its last bytes are written, and not held until Grace is over.
func TestEndWithoutHalfClose(t *testing.T) {
	w := transports[0]
	w.dial = func(*testing.T) (near, far net.Conn) { return net.Pipe() }
	inBubble(t, func(t *testing.T) {
		g := newRig(t, w, Pair{})
		start := time.Now()
		go g.endAndWait()
		g.client.wantGets(endFrame)
		g.wantMasked(endFrame)
		g.client.wantCut()
		g.upstream.wantCut()
		g.waitClosed(TheOwner, "ended")
		if d := time.Since(start); d > 0 {
			t.Errorf("the tunnel closed after %v, want at once", d)
		}
	})
}

// TestEndWhileTheClientDoesNotRead checks that the close frame of a client that
// does not read is given up after half of Grace, and that the upstream gets one
// at once.
func TestEndWhileTheClientDoesNotRead(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		w = w.withShortGrace()
		g := newRig(t, w, Pair{})
		flooded := make(chan struct{})
		go func() {
			defer close(flooded)
			g.upstream.flood(fromUpstream(0x82, 1<<16))
		}()
		if _, err := io.ReadFull(g.client, make([]byte, 10<<16)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		g.endAndWait()
		g.wantMasked(endFrame)
		if d := time.Since(start); w.pipe && d > w.grace/2 {
			t.Errorf("given up after %v, want %v", d, w.grace/2)
		}
		g.waitClosed(TheOwner, "ended")
		if d := time.Since(start); w.pipe && d > w.grace {
			t.Errorf("closed after %v, want %v", d, w.grace)
		}
		g.upstream.hangUp()
		receive(t, flooded)
	})
}

// TestEndWhileTheUpstreamDoesNotRead checks that the client gets its close
// frame at once.
func TestEndWhileTheUpstreamDoesNotRead(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		w = w.withShortGrace()
		g := newRig(t, w, Pair{})
		flooded := make(chan struct{})
		go func() {
			defer close(flooded)
			g.client.flood(fromClient(0x82, 1<<16))
		}()
		if _, err := io.ReadFull(g.upstream, make([]byte, 10<<16)); err != nil {
			t.Fatal(err)
		}
		go g.endAndWait()
		g.client.wantGets(endFrame)
		g.client.wantEnd()
		g.waitClosed(TheOwner, "ended")
		g.client.hangUp()
		receive(t, flooded)
	})
}

// TestEndWithinData checks that an End at any time lets each side get whole
// frames in order, and then the close frame. The upstream may get a truncated
// frame instead.
func TestEndWithinData(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		for seed := range uint64(20) {
			rnd := rand.New(rand.NewPCG(seed, 9))
			size := 100 + rnd.IntN(20000)
			up, back := fromClient(0x82, size), fromUpstream(0x82, size)
			g := newRig(t, w, Pair{})
			var wg sync.WaitGroup
			wg.Go(func() { g.client.flood(up) })
			wg.Go(func() { g.upstream.flood(back) })
			at := rnd.IntN(1 << 18)
			wg.Go(func() {
				_, _ = io.CopyN(io.Discard, g.upstream, int64(at)) //nolint:errcheck // whatever comes
				rest, _ := io.ReadAll(g.upstream)
				n := (at + len(rest)) % len(up) // where the last frame begins, from the end
				tail := rest[max(len(rest)-n, 0):]
				if len(tail) == len(endFrame)+4 && tail[0] == endFrame[0] {
					tail = wsframe.AppendMasked(nil, endFrame, [4]byte(tail[2:]))[:0]
				}
				if !bytes.HasPrefix(up, tail) && len(rest) > n {
					t.Errorf("seed %d: the upstream got %s last", seed, brief(tail))
				}
			})
			wg.Go(func() {
				if _, err := io.CopyN(io.Discard, g.client, int64(at)); err != nil {
					t.Errorf("seed %d: %v", seed, err)
					return
				}
				go g.endAndWait()
				rest, err := io.ReadAll(g.client)
				frames, found := bytes.CutSuffix(rest, endFrame)
				if err != nil || !found || (at+len(frames))%len(back) != 0 {
					t.Errorf("seed %d: the client got %s, %v last", seed, brief(rest), err)
				}
				g.client.hangUp()
				g.upstream.hangUp()
			})
			wg.Wait()
			g.waitClosed(TheOwner, "ended")
		}
	})
}

// TestRelayCloses checks that Close cuts the remaining tunnels, and later ones
// are cut at once.
func TestRelayCloses(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		r := newRelay(t, Grace, eventloop.Options{Loops: 1, Portable: w.portable})
		g := rigOf(t, r, w, Pair{})
		g.client.send(fromClient(0x82, 300))
		g.upstream.wantGets(fromClient(0x82, 300))
		closeNow(t, r)
		w.meet = nil // the loops of a closed relay accept and await no connection
		late := rigOf(t, r, w, Pair{})
		for _, g := range []*rig{g, late} {
			g.waitClosed(TheRelay, "cut")
			g.client.wantCut()
			g.upstream.wantCut()
			g.endAndWait()
		}
	})
}

// TestEndAfterClosed checks that End calls back when the tunnel has already
// closed, and Closed is not called again.
func TestEndAfterClosed(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		r := newRelay(t, w.grace, eventloop.Options{Loops: 1, Portable: w.portable})
		g := rigOf(t, r, w, Pair{})
		g.client.hangUp()
		g.upstream.hangUp()
		receive(t, g.results)
		frameSent := make(chan struct{})
		g.End(endFrame, func() { close(frameSent) })
		receive(t, frameSent)
		closeNow(t, r)
		select {
		case again := <-g.results:
			t.Error("Closed was called again:", again)
		default:
		}
	})
}

// TestEndCallbackOfACutTunnel checks that End calls back even if the relay
// closes before it has sent the close frame.
func TestEndCallbackOfACutTunnel(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		r := newRelay(t, w.grace, eventloop.Options{Loops: 1, Portable: w.portable})
		g := rigOf(t, r, w, Pair{})
		frame := fromUpstream(0x82, 300)
		g.upstream.send(frame[:100])
		g.client.wantGets(frame[:100])
		frameSent := make(chan struct{})
		g.End(endFrame, func() { close(frameSent) })
		g.wantMasked(endFrame)
		closeNow(t, r)
		receive(t, frameSent)
		g.waitClosed(TheOwner, "ended")
	})
}
