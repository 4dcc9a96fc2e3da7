package relay

import (
	"sync/atomic"
	"testing"
	"time"

	"wsauth/internal/eventloop"
)

// A pause pauses event loops.
type pause struct {
	on    atomic.Bool
	asked atomic.Int64 // how often, while on
}

// paused implements eventloop.Options.Paused.
func (p *pause) paused() bool {
	if !p.on.Load() {
		return false
	}
	p.asked.Add(1)
	return true
}

// pausedRig returns a rig whose relay is paused, with a frame from each side on
// its way.
func pausedRig(t *testing.T, w transport) (*rig, *pause) {
	t.Helper()
	p := &pause{}
	r := newRelay(t, w.grace, eventloop.Options{Loops: 1, Portable: w.portable, Paused: p.paused})
	t.Cleanup(func() { p.on.Store(false) })
	g := rigOf(t, r, w, Pair{})
	g.client.send(fromClient(0x82, 300))
	g.upstream.wantGets(fromClient(0x82, 300))
	g.upstream.send(fromUpstream(0x82, 300))
	g.client.wantGets(fromUpstream(0x82, 300))
	p.on.Store(true)
	g.client.send(fromClient(0x82, 20))
	g.upstream.send(fromUpstream(0x82, 20))
	for start := time.Now(); p.asked.Load() < 3; time.Sleep(time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatal("the loops do not ask whether they are paused")
		}
	}
	return g, p
}

// TestPausedFramesPass checks that frames that arrive during a pause pass
// afterwards.
func TestPausedFramesPass(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		g, p := pausedRig(t, w)
		p.on.Store(false)
		g.upstream.wantGets(fromClient(0x82, 20))
		g.client.wantGets(fromUpstream(0x82, 20))
		go g.endAndWait()
		g.client.wantGets(endFrame)
		g.wantMasked(endFrame)
		g.endsCleanly(TheOwner, "ended")
	})
}

// TestPausedFramesAreLost checks that frames that arrive during a pause are
// dropped if the tunnel is ended before they pass.
func TestPausedFramesAreLost(t *testing.T) {
	eachTransport(t, func(t *testing.T, w transport) {
		g, p := pausedRig(t, w)
		frameSent := make(chan struct{})
		g.End(endFrame, func() { close(frameSent) })
		p.on.Store(false)
		g.client.wantGets(endFrame)
		g.wantMasked(endFrame)
		receive(t, frameSent)
		g.endsCleanly(TheOwner, "ended")
	})
}
