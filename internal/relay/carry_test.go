package relay

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"wsauth/internal/wsframe"
)

// TestCarriesEveryByte checks that with any frames, split in any way, in both
// directions at once, each side gets what the other sent.
func TestCarriesEveryByte(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		w.grace = 30 * time.Second // the streams end at different times
		for seed := range uint64(8) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			up, upMessages := stream(rnd, true)
			back, backMessages := stream(rnd, false)
			early, late := rnd.IntN(len(up)), rnd.IntN(len(back))
			g := newRig(t, w, Pair{FromClient: up[:early], FromUpstream: back[:late], Deflate: true})
			var wg sync.WaitGroup
			wg.Go(func() { sendCut(g.client, up[early:], seed) })
			wg.Go(func() { sendCut(g.upstream, back[late:], seed+100) })
			wg.Go(func() { readCut(g.client, back, seed+200) })
			wg.Go(func() { readCut(g.upstream, up, seed+300) })
			wg.Wait()
			g.client.closeWrite()
			g.upstream.closeWrite()
			g.client.wantEnd()
			g.upstream.wantEnd()
			r := receive(t, g.results)
			want := [2]Traffic{{int64(len(up)), upMessages}, {int64(len(back)), backMessages}}
			if got := [2]Traffic{r.FromClient, r.FromUpstream}; got != want {
				t.Errorf("traffic %v, want %v", got, want)
			}
		}
	})
}

// stream returns some fragmented messages with control frames in between, and a
// close frame.
func stream(rnd *rand.Rand, mask bool) (b []byte, messages int64) {
	sizes := []int{0, 1, 125, 126, 1000, 5000, 65535, 65536, 200 << 10}
	for messages = range int64(1 + rnd.IntN(6)) {
		first := byte(0x01 + rnd.IntN(2) | rnd.IntN(2)<<6)
		for n := rnd.IntN(4); n > 0; n-- {
			b = append(b, frame(first, sizes[rnd.IntN(len(sizes))], mask)...)
			b = append(b, frame(0x89, rnd.IntN(126), mask)...)
			first = 0
		}
		b = append(b, frame(0x80|first, sizes[rnd.IntN(len(sizes))], mask)...)
	}
	return append(b, frame(0x88, 2, mask)...), messages + 1
}

// sendCut sends b in pieces.
func sendCut(p peer, b []byte, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 2))
	for len(b) > 0 {
		n := min(1+rnd.IntN(1<<rnd.IntN(18)), len(b))
		p.send(b[:n])
		b = b[n:]
	}
}

// readCut reads want in pieces.
func readCut(p peer, want []byte, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 3))
	var got []byte
	for len(got) < len(want) {
		space := make([]byte, min(1+rnd.IntN(1<<rnd.IntN(18)), len(want)-len(got)))
		n, err := p.Read(space)
		got = append(got, space[:n]...)
		if err != nil {
			p.t.Errorf("%s: %v after %d of %d bytes", p.name, err, len(got), len(want))
			return
		}
	}
	if !bytes.Equal(got, want) {
		p.t.Errorf("%s got different bytes than were sent", p.name)
	}
}

// TestEarlyBytes checks that bytes that were read before Carry are passed on
// first, even if they are more than a driver reads at once.
func TestEarlyBytes(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		for _, n := range []int{50, smallRead, largeRead, 1 << 16} { // what drivers read at once
			for size := n - 1; size <= n+1; size++ {
				up, back := frameOf(t, size, true), frameOf(t, size, false)
				g := newRig(t, w, Pair{FromClient: up, FromUpstream: back})
				received := make(chan struct{})
				go func() {
					defer close(received)
					g.upstream.wantGets(up)
				}()
				g.client.wantGets(back)
				receive(t, received)
			}
		}
	})
}

// frameOf returns a frame of n bytes, including its head.
func frameOf(t *testing.T, n int, mask bool) []byte {
	t.Helper()
	for _, head := range []int{2, 4, 6, 8, 10, 14} {
		if f := frame(0x82, max(n-head, 0), mask); len(f) == n {
			return f
		}
	}
	t.Fatalf("no frame has %d bytes", n)
	return nil
}

// TestCloseHandshake checks that the relay adds nothing when the sides close on
// their own.
func TestCloseHandshake(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		g := newRig(t, w, Pair{})
		g.client.send(fromClient(0x88, 2))
		g.upstream.wantGets(fromClient(0x88, 2))
		g.upstream.send(fromUpstream(0x88, 2))
		g.client.wantGets(fromUpstream(0x88, 2))
		g.upstream.hangUp()
		g.client.wantEnd()
		g.client.hangUp()
		g.waitClosed(TheClient, "close")
	})
}

// TestNothingAfterAClose checks that nothing that follows a close frame is
// passed on.
func TestNothingAfterAClose(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		g := newRig(t, w, Pair{})
		g.upstream.send(fromUpstream(0x88, 2), fromUpstream(0x82, 5), []byte{0xFF})
		g.client.wantGets(fromUpstream(0x88, 2))
		g.client.send(fromClient(0x88, 2), fromClient(0x82, 5))
		g.upstream.wantGets(fromClient(0x88, 2))
		g.upstream.closeWrite()
		g.client.closeWrite()
		g.client.wantEnd()
		g.upstream.wantEnd()
		g.waitClosed(TheUpstream, "close")
	})
}

// TestHalfClose checks that a side that ends its stream still gets what the
// other sends.
func TestHalfClose(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		g := newRig(t, w, Pair{})
		g.client.send(fromClient(0x82, 300))
		g.client.closeWrite()
		g.upstream.wantGets(fromClient(0x82, 300))
		g.upstream.wantEnd()
		g.upstream.send(fromUpstream(0x82, 300), fromUpstream(0x88, 2))
		g.client.wantGets(fromUpstream(0x82, 300), fromUpstream(0x88, 2))
		g.upstream.hangUp()
		g.client.wantEnd()
		g.waitClosed(TheClient, "eof")
	})
}

// TestClientLost checks that the upstream of a lost client is cut without
// waiting for Grace.
func TestClientLost(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		w = w.withShortGrace()
		g := newRig(t, w, Pair{})
		g.client.send(fromClient(0x82, 300))
		g.upstream.wantGets(fromClient(0x82, 300))
		start := time.Now()
		g.client.reset()
		g.upstream.wantCut()
		g.waitClosed(TheClient, "reset")
		if d := time.Since(start); w.pipe && d > 0 {
			t.Errorf("the tunnel closed after %v, want at once", d)
		}
	})
}

// TestUpstreamLost checks that the client gets bad_gateway, unless it is inside
// a frame or got a close frame.
func TestUpstreamLost(t *testing.T) {
	bad := wsframe.AppendClose(nil, 1014, "bad_gateway")
	whole := fromUpstream(0x82, 300)
	for name, tc := range map[string]struct {
		sent []byte
		gets [][]byte // by the client, before and after the loss
		lose func(peer)
	}{
		"end between frames":     {whole, [][]byte{whole, bad}, peer.hangUp},
		"end in a head":          {[]byte{0x82}, [][]byte{nil, bad}, peer.hangUp},
		"end inside a frame":     {whole[:200], [][]byte{whole[:200], nil}, peer.hangUp},
		"end after a close":      {fromUpstream(0x88, 2), [][]byte{fromUpstream(0x88, 2), nil}, peer.hangUp},
		"half-close":             {whole, [][]byte{whole, bad}, peer.closeWrite},
		"reset between messages": {whole, [][]byte{whole, bad}, peer.reset},
		"reset inside a frame":   {whole[:200], [][]byte{whole[:200], nil}, peer.reset},
	} {
		t.Run(name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, w transport) {
				g := newRig(t, w, Pair{})
				g.upstream.send(tc.sent)
				g.client.wantGets(tc.gets[0])
				tc.lose(g.upstream)
				g.client.wantGets(tc.gets[1])
				g.client.wantEnd()
				g.client.hangUp()
				if r := receive(t, g.results); r.By != TheUpstream {
					t.Errorf("ended by the %v, want the %v", r.By, TheUpstream)
				}
			})
		})
	}
}
