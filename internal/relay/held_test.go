package relay

import (
	"sync/atomic"
	"testing"
	"time"
)

// A hold is what Options.Held asks.
type hold struct {
	on    atomic.Bool
	asked atomic.Int64 // while on

	last  time.Time // when it was; for relays with one loop
	early atomic.Bool
}

func (h *hold) held() bool {
	if !h.on.Load() {
		return false
	}
	h.asked.Add(1)
	return true
}

// heldByLoop does what held does, for a loop, which asks once within heldFor.
func (h *hold) heldByLoop() bool {
	on := h.held()
	if on {
		now := time.Now()
		if now.Before(h.last.Add(heldFor)) {
			h.early.Store(true)
		}
		h.last = now
	}
	return on
}

// heldRig is a rig whose relay is held, with a frame of either side on its
// way.
func heldRig(t *testing.T, w way) (*rig, *hold) {
	t.Helper()
	h := &hold{}
	held := h.heldByLoop
	if w.portable {
		held = h.held
	}
	r, err := New(Options{Loops: 1, Portable: w.portable, Held: held, grace: w.grace})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, r)
	t.Cleanup(func() { h.on.Store(false) })
	g := rigOf(t, r, w, Pair{})
	g.client.send(fromClient(0x82, 300))
	g.upstream.gets(fromClient(0x82, 300))
	g.upstream.send(fromUpstream(0x82, 300))
	g.client.gets(fromUpstream(0x82, 300))
	h.on.Store(true)
	g.client.send(fromClient(0x82, 20))
	g.upstream.send(fromUpstream(0x82, 20))
	for begun := time.Now(); h.asked.Load() < 3; time.Sleep(heldFor) {
		if time.Since(begun) > 10*time.Second {
			t.Fatal("nobody asks whether frames may pass")
		}
	}
	if h.early.Load() {
		t.Errorf("the loop asks more often than every %v", heldFor)
	}
	return g, h
}

// TestHeldFramesPass: what came while frames were held passes afterwards.
func TestHeldFramesPass(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		g, h := heldRig(t, w)
		h.on.Store(false)
		g.upstream.gets(fromClient(0x82, 20))
		g.client.gets(fromUpstream(0x82, 20))
		go g.bye()
		g.client.gets(goodbye)
		g.getsMasked(goodbye)
		g.endsPolitely(TheOwner, "ended")
	})
}

// TestHeldFramesAreLost where the tunnel is ended while they are held.
func TestHeldFramesAreLost(t *testing.T) {
	each(t, func(t *testing.T, w way) {
		g, h := heldRig(t, w)
		said := make(chan struct{})
		g.End(goodbye, func() { close(said) })
		h.on.Store(false)
		g.client.gets(goodbye)
		g.getsMasked(goodbye)
		receive(t, said)
		g.endsPolitely(TheOwner, "ended")
	})
}
