package relay

import (
	"testing"
	"time"
)

// TestSleepingLoop: a tunnel that a loop was not woken for has everything in
// time.
func TestSleepingLoop(t *testing.T) {
	w := ways[3]
	for name, does := range map[string]struct {
		pair Pair
		test func(g *rig)
	}{
		"ping":          {Pair{Ping: 50 * time.Millisecond}, func(g *rig) { g.client.gets(pingFrame) }},
		"early data":    {Pair{FromUpstream: fromUpstream(0x82, 5)}, func(g *rig) { g.client.gets(fromUpstream(0x82, 5)) }},
		"from client":   {Pair{}, func(g *rig) { g.client.send(fromClient(0x82, 5)); g.upstream.gets(fromClient(0x82, 5)) }},
		"from upstream": {Pair{}, func(g *rig) { g.upstream.send(fromUpstream(0x82, 5)); g.client.gets(fromUpstream(0x82, 5)) }},
		"end":           {Pair{}, func(g *rig) { g.bye() }},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := New(Options{Loops: 1, grace: w.grace})
			if err != nil {
				t.Fatal(err)
			}
			closeAtEnd(t, r)
			until(t, "the loop sleeps", r.loops[0].sleepsForEver)
			does.test(rigOf(t, r, w, does.pair))
		})
	}
}

func (l *loop) sleepsForEver() bool {
	return l.until.Load() == int64(never)
}
