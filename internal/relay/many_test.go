package relay

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"wsauth/internal/eventloop"
)

// TestManyTunnels checks that each of a thousand tunnels closes, in whatever
// way it ends, and leaves nothing behind.
func TestManyTunnels(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		w = w.withShortGrace()
		r := newRelay(t, w.grace, eventloop.Options{Loops: 2, Portable: w.portable})
		tunnels := 1000
		if w.name == "portable TLS" {
			tunnels = 100 // their handshakes take the longest
		}
		for from := 0; from < tunnels; from += 250 {
			var wg sync.WaitGroup
			for seed := range min(250, tunnels) {
				g := rigOf(t, r, w, Pair{MaxFrame: 5000})
				wg.Go(func() { g.runRandomly(rand.New(rand.NewPCG(uint64(from), uint64(seed)))) })
			}
			wg.Wait()
		}
	})
}

// runRandomly sends some frames, and ends the tunnel in a random way.
func (g *rig) runRandomly(rnd *rand.Rand) {
	for range rnd.IntN(5) {
		// A pipe has no buffer, and the relay holds at most smallRead.
		f, back := fromClient(0x82, rnd.IntN(4000)), fromUpstream(0x82, rnd.IntN(4000))
		g.client.send(f)
		g.upstream.wantGets(f)
		g.upstream.send(back)
		g.client.wantGets(back)
	}
	if part := rnd.IntN(10); part > 0 { // inside a frame
		if p := g.client; rnd.IntN(2) > 0 {
			p.send(fromClient(0x82, 100)[:part])
		} else {
			g.upstream.send(fromUpstream(0x82, 100)[:part])
		}
	}
	switch rnd.IntN(8) {
	case 0:
		g.client.hangUp()
	case 1:
		g.upstream.hangUp()
	case 2:
		g.client.reset()
	case 3:
		g.upstream.reset()
	case 4:
		go func() { _, _ = g.client.Write(fromClient(0xF2, 6000)) }() // a fault, unless inside a frame
		g.endAndWait()
	case 5:
		go g.End(endFrame, nil)
		g.End(endFrame, func() {})
	default:
		time.AfterFunc(time.Duration(rnd.IntN(1000))*time.Microsecond, func() { g.End(endFrame, nil) })
	}
	if rnd.IntN(2) > 0 {
		g.client.hangUp()
		g.upstream.hangUp()
	}
	receive(g.t, g.results)
	g.client.hangUp()
	g.upstream.hangUp()
}
