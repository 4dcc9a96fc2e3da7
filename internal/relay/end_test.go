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

// endsPolitely fails unless both sides see the end of the stream, hang up, and
// the tunnel comes to its end.
func (g *rig) endsPolitely(by Party, reason string) {
	g.t.Helper()
	g.client.ends()
	g.upstream.ends()
	g.client.hangUp()
	g.upstream.hangUp()
	g.closes(by, reason)
}

func TestEndBetweenFrames(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		g := newRig(t, w, Pair{})
		g.client.send(fromClient(0x82, 300))
		g.upstream.gets(fromClient(0x82, 300))
		g.upstream.send(fromUpstream(0x82, 300))
		g.client.gets(fromUpstream(0x82, 300))
		go g.bye()
		g.client.gets(goodbye)
		g.getsMasked(goodbye)
		g.endsPolitely(TheOwner, "ended")
	})
}

// TestEndOfAnIdleTunnel: before any byte was carried.
func TestEndOfAnIdleTunnel(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		g := newRig(t, w, Pair{})
		go g.bye()
		g.client.gets(goodbye)
		g.getsMasked(goodbye)
		g.endsPolitely(TheOwner, "ended")
	})
}

// TestEndInsideTheClientsFrame: it is cut off, and so the upstream cannot be
// told more.
func TestEndInsideTheClientsFrame(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		g := newRig(t, w, Pair{})
		f := fromClient(0x82, 300)
		g.client.send(f[:100])
		g.upstream.gets(f[:100])
		go g.bye()
		g.client.gets(goodbye)
		g.client.send(f[100:], fromClient(0x82, 5))
		g.endsPolitely(TheOwner, "ended")
	})
}

// TestEndInsideTheClientsHead: nothing of the frame has gone out.
func TestEndInsideTheClientsHead(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		g := newRig(t, w, Pair{})
		f := fromClient(0x82, 300)
		g.client.send(fromClient(0x81, 2), f[:7])
		g.upstream.gets(fromClient(0x81, 2))
		go g.bye()
		g.client.gets(goodbye)
		g.getsMasked(goodbye)
		g.client.send(f[7:])
		g.endsPolitely(TheOwner, "ended")
	})
}

// TestEndInsideTheUpstreamsFrame: it is finished, and nothing follows.
func TestEndInsideTheUpstreamsFrame(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		g := newRig(t, w, Pair{})
		f := fromUpstream(0x82, 300)
		g.upstream.send(f[:100])
		g.client.gets(f[:100])
		said := make(chan struct{})
		g.End(goodbye, func() { close(said) })
		g.getsMasked(goodbye)
		select {
		case <-said:
			t.Error("the farewell is said inside a frame")
		default:
		}
		g.upstream.send(f[100:200])
		g.client.gets(f[100:200])
		g.upstream.send(f[200:], fromUpstream(0x82, 5))
		g.client.gets(f[200:], goodbye)
		receive(t, said)
		g.endsPolitely(TheOwner, "ended")
	})
}

// TestEndInsideAFrameThatIsNeverFinished: half of Grace is what it has.
func TestEndInsideAFrameThatIsNeverFinished(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		if !w.pipe {
			w.grace = 4 * time.Second // a busy machine reads the end before it is over
		}
		g := newRig(t, w, Pair{})
		f := fromUpstream(0x82, 300)
		begun := time.Now() // a loop that is still busy with what follows counts from there
		g.upstream.send(f[:100])
		g.client.gets(f[:100])
		g.bye()
		if d := time.Since(begun); d < w.grace/2 || w.pipe && d > w.grace/2 {
			t.Errorf("given up after %v", d)
		}
		g.client.ends()
		g.client.isCut()
		g.closes(TheOwner, "ended")
		if d := time.Since(begun); d < w.grace || w.pipe && d > w.grace {
			t.Errorf("closed after %v", d)
		}
	})
}

// TestEndAfterACloseFrame: no side gets a second one.
func TestEndAfterACloseFrame(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		g := newRig(t, w, Pair{})
		g.client.send(fromClient(0x88, 2))
		g.upstream.gets(fromClient(0x88, 2))
		g.upstream.send(fromUpstream(0x88, 2))
		g.client.gets(fromUpstream(0x88, 2))
		g.bye()
		g.endsPolitely(TheClient, "close")
	})
}

// TestEndInsideTheUpstreamsCloseFrame: it is the farewell.
func TestEndInsideTheUpstreamsCloseFrame(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		g := newRig(t, w, Pair{})
		f := fromUpstream(0x88, 20)
		g.upstream.send(f[:10])
		g.client.gets(f[:10])
		go g.bye()
		g.getsMasked(goodbye)
		g.upstream.send(f[10:])
		g.client.gets(f[10:])
		g.endsPolitely(TheUpstream, "close")
	})
}

// TestEndTwice: the second does nothing.
func TestEndTwice(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		g := newRig(t, w, Pair{})
		go func() {
			g.bye()
			g.End(wsframe.AppendClose(nil, 1000, "again"), func() { t.Error("said again") })
		}()
		g.client.gets(goodbye)
		g.getsMasked(goodbye)
		g.endsPolitely(TheOwner, "ended")
	})
}

// TestEndAtOnce: before the relay has seen anything of the tunnel.
func TestEndAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		early := fromUpstream(0x82, 300)
		g := newRig(t, w, Pair{FromUpstream: early})
		go g.End(goodbye, nil)
		got := make([]byte, len(goodbye))
		if _, err := io.ReadFull(g.client, got); err != nil {
			t.Fatal(err)
		}
		if bytes.HasPrefix(early, got) { // it came first
			g.client.gets(early[len(got):], goodbye)
		} else if !bytes.Equal(got, goodbye) {
			t.Errorf("the client got % x", got)
		}
		g.getsMasked(goodbye)
		g.endsPolitely(TheOwner, "ended")
	})
}

// TestEndOfWhatHasEnded: there is nobody left to tell.
func TestEndOfWhatHasEnded(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		w = w.hurried()
		g := newRig(t, w, Pair{})
		g.client.breaks()
		g.closes(TheClient, "reset")
		g.bye()
	})
}

// TestEndAfterTheUpstreamHasLeft: the client got the end of the stream, and
// cannot get a close frame behind it. End calls said at once. The upstream,
// which still reads, gets its close frame.
func TestEndAfterTheUpstreamHasLeft(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		g := newRig(t, w, Pair{})
		g.upstream.send(fromUpstream(0x88, 2))
		g.upstream.closeWrite()
		g.client.gets(fromUpstream(0x88, 2))
		g.client.ends()
		begun := time.Now()
		g.bye()
		if d := time.Since(begun); w.pipe && d > 0 {
			t.Errorf("End called said after %v", d)
		}
		g.getsMasked(goodbye)
		g.upstream.ends()
		g.client.hangUp()
		g.upstream.hangUp()
		g.closes(TheUpstream, "close")
	})
}

// TestEndWithoutHalfClose: a connection that cannot be half-closed is lost
// once its last bytes are out, and not held until Grace is over.
func TestEndWithoutHalfClose(t *testing.T) {
	w := ways[0]
	w.dial = func(*testing.T) (near, far net.Conn) { return net.Pipe() }
	inBubble(t, func(t *testing.T) {
		g := newRig(t, w, Pair{})
		begun := time.Now()
		go g.bye()
		g.client.gets(goodbye)
		g.getsMasked(goodbye)
		g.client.isCut()
		g.upstream.isCut()
		g.closes(TheOwner, "ended")
		if d := time.Since(begun); d > 0 {
			t.Errorf("it took %v", d)
		}
	})
}

// TestEndWhileTheClientDoesNotRead: its farewell is given up after half of
// Grace, and the upstream gets its own at once.
func TestEndWhileTheClientDoesNotRead(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		w = w.hurried()
		g := newRig(t, w, Pair{})
		flooded := make(chan struct{})
		go func() {
			defer close(flooded)
			g.upstream.flood(fromUpstream(0x82, 1<<16))
		}()
		if _, err := io.ReadFull(g.client, make([]byte, 10<<16)); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		g.bye()
		g.getsMasked(goodbye)
		if d := time.Since(begun); w.pipe && d > w.grace/2 {
			t.Errorf("given up after %v", d)
		}
		g.closes(TheOwner, "ended")
		if d := time.Since(begun); w.pipe && d > w.grace {
			t.Errorf("closed after %v", d)
		}
		g.upstream.hangUp()
		receive(t, flooded)
	})
}

// TestEndWhileTheUpstreamDoesNotRead: the client is told at once.
func TestEndWhileTheUpstreamDoesNotRead(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		w = w.hurried()
		g := newRig(t, w, Pair{})
		flooded := make(chan struct{})
		go func() {
			defer close(flooded)
			g.client.flood(fromClient(0x82, 1<<16))
		}()
		if _, err := io.ReadFull(g.upstream, make([]byte, 10<<16)); err != nil {
			t.Fatal(err)
		}
		go g.bye()
		g.client.gets(goodbye)
		g.client.ends()
		g.closes(TheOwner, "ended")
		g.client.hangUp()
		receive(t, flooded)
	})
}

// TestEndWithinData: wherever the end comes, each side gets whole frames in
// order, and then the close frame; the upstream may instead get a frame that is
// cut off.
func TestEndWithinData(t *testing.T) {
	each(t, func(t *testing.T, w way) {
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
				if len(tail) == len(goodbye)+4 && tail[0] == goodbye[0] {
					tail = wsframe.AppendMasked(nil, goodbye, [4]byte(tail[2:]))[:0]
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
				go g.bye()
				rest, err := io.ReadAll(g.client)
				frames, found := bytes.CutSuffix(rest, goodbye)
				if err != nil || !found || (at+len(frames))%len(back) != 0 {
					t.Errorf("seed %d: the client got %s, %v last", seed, brief(rest), err)
				}
				g.client.hangUp()
				g.upstream.hangUp()
			})
			wg.Wait()
			g.closes(TheOwner, "ended")
		}
	})
}

// TestRelayCloses: what is left is cut, and what comes later.
func TestRelayCloses(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		r := newRelay(t, Grace, eventloop.Options{Loops: 1, Portable: w.portable})
		g := rigOf(t, r, w, Pair{})
		g.client.send(fromClient(0x82, 300))
		g.upstream.gets(fromClient(0x82, 300))
		closeNow(t, r)
		w.meet = nil // nobody is met any more
		late := rigOf(t, r, w, Pair{})
		for _, g := range []*rig{g, late} {
			g.closes(TheRelay, "cut")
			g.client.isCut()
			g.upstream.isCut()
			g.bye()
		}
	})
}

// TestEndAfterAll: an End that comes when the tunnel is over is told so, and
// the tunnel ends no second time.
func TestEndAfterAll(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		r := newRelay(t, w.grace, eventloop.Options{Loops: 1, Portable: w.portable})
		g := rigOf(t, r, w, Pair{})
		g.client.hangUp()
		g.upstream.hangUp()
		receive(t, g.results)
		said := make(chan struct{})
		g.End(goodbye, func() { close(said) })
		receive(t, said)
		closeNow(t, r)
		select {
		case again := <-g.results:
			t.Error("it ended again:", again)
		default:
		}
	})
}

// TestSaidOfACutTunnel: End calls back even if the relay closes before it has
// sent the farewell.
func TestSaidOfACutTunnel(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		r := newRelay(t, w.grace, eventloop.Options{Loops: 1, Portable: w.portable})
		g := rigOf(t, r, w, Pair{})
		frame := fromUpstream(0x82, 300)
		g.upstream.send(frame[:100])
		g.client.gets(frame[:100])
		said := make(chan struct{})
		g.End(goodbye, func() { close(said) })
		g.getsMasked(goodbye)
		closeNow(t, r)
		receive(t, said)
		g.closes(TheOwner, "ended")
	})
}
