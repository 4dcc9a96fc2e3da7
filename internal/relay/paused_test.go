package relay

import (
	"sync/atomic"
	"testing"
	"time"

	"wsauth/internal/eventloop"
)

// A pause is a pause of event loops.
type pause struct {
	on    atomic.Bool
	asked atomic.Int64 // how often, while on
}

// paused is an eventloop.Options.Paused.
func (p *pause) paused() bool {
	if !p.on.Load() {
		return false
	}
	p.asked.Add(1)
	return true
}

// pausedRig returns a rig whose relay is paused, with a frame of either side
// on its way.
func pausedRig(t *testing.T, w way) (*rig, *pause) {
	t.Helper()
	p := &pause{}
	r := newRelay(t, w.grace, eventloop.Options{Loops: 1, Portable: w.portable, Paused: p.paused})
	t.Cleanup(func() { p.on.Store(false) })
	g := rigOf(t, r, w, Pair{})
	g.client.send(fromClient(0x82, 300))
	g.upstream.gets(fromClient(0x82, 300))
	g.upstream.send(fromUpstream(0x82, 300))
	g.client.gets(fromUpstream(0x82, 300))
	p.on.Store(true)
	g.client.send(fromClient(0x82, 20))
	g.upstream.send(fromUpstream(0x82, 20))
	for begun := time.Now(); p.asked.Load() < 3; time.Sleep(time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Fatal("nobody asks whether frames may pass")
		}
	}
	return g, p
}

// TestPausedFramesPass: what has come during a pause passes afterwards.
func TestPausedFramesPass(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		g, p := pausedRig(t, w)
		p.on.Store(false)
		g.upstream.gets(fromClient(0x82, 20))
		g.client.gets(fromUpstream(0x82, 20))
		go g.bye()
		g.client.gets(goodbye)
		g.getsMasked(goodbye)
		g.endsPolitely(TheOwner, "ended")
	})
}

// TestPausedFramesAreLost if the tunnel is ended during the pause.
func TestPausedFramesAreLost(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		g, p := pausedRig(t, w)
		said := make(chan struct{})
		g.End(goodbye, func() { close(said) })
		p.on.Store(false)
		g.client.gets(goodbye)
		g.getsMasked(goodbye)
		receive(t, said)
		g.endsPolitely(TheOwner, "ended")
	})
}
