package relay

import (
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestClientIsUnheardFromEndOn: what a client has sent does not reach the
// upstream once End was called, even if the loop learns of it before it
// carries End out.
func TestClientIsUnheardFromEndOn(t *testing.T) {
	for _, w := range ways {
		if w.portable {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			g := newRig(t, w, Pair{})
			g.client.send(fromClient(0x82, 3)) // the loop has the tunnel once this is through
			g.upstream.gets(fromClient(0x82, 3))
			d := g.driver.(*looped)
			said := make(chan struct{})
			d.loop.order(func() {
				g.client.send(fromClient(0x82, 5))
				g.End(goodbye, func() { close(said) }) // orders the end, for later
				d.event(d.lanes[client].fd, unix.EPOLLIN)
			})
			receive(t, said)
			g.getsMasked(goodbye)
			g.client.gets(goodbye)
		})
	}
}

// TestStart: a tunnel whose loop sleeps has something to do at once only if
// bytes were read before.
func TestStart(t *testing.T) {
	for name, tt := range map[string]struct {
		pair Pair
		want time.Duration
	}{
		"nothing":          {Pair{}, never},
		"a ping":           {Pair{Ping: time.Minute}, time.Minute},
		"of the client":    {Pair{FromClient: []byte{1}, Ping: time.Minute}, 0},
		"of the upstream":  {Pair{FromUpstream: []byte{1}, Ping: time.Minute}, 0},
		"of both, no ping": {Pair{FromClient: []byte{1}, FromUpstream: []byte{1}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tunnel := new(Tunnel)
			tunnel.begin(tt.pair, Grace, 0)
			d := &looped{loop: &loop{born: time.Now()}, tunnel: tunnel, core: &tunnel.core}
			d.lanes[client].watched, d.lanes[upstream].watched = true, true
			if due := d.start(); due != tt.want {
				t.Errorf("there is something to do at %v, want %v", due, tt.want)
			}
		})
	}
}

// TestLoopForgetsATunnel that has ended: its sockets, its times and its turns.
func TestLoopForgetsATunnel(t *testing.T) {
	g := newRig(t, ways[3], Pair{Ping: time.Minute})
	g.client.send(fromClient(0x82, 5))
	g.upstream.gets(fromClient(0x82, 5))
	l := g.driver.(*looped).loop
	known := func() (sockets, times, turns int) {
		g.inside(func(*core) {
			for _, task := range l.of {
				if task != nil {
					sockets++
				}
			}
			times, turns = len(l.timers), len(l.again)
		})
		return sockets, times, turns
	}
	if sockets, times, turns := known(); sockets != 2 || times != 1 || turns != 0 {
		t.Errorf("the loop knows %d sockets, %d times and %d turns", sockets, times, turns)
	}
	g.client.breaks()
	g.closes(TheClient, "reset")
	if sockets, times, turns := known(); sockets+times+turns > 0 {
		t.Errorf("the loop knows %d sockets, %d times and %d turns", sockets, times, turns)
	}
}

// TestTurns: a side whose turn was over is read on once, and may have another
// turn then.
func TestTurns(t *testing.T) {
	g := newRig(t, ways[3], Pair{})
	g.inside(func(*core) {
		d := g.driver.(*looped)
		for _, s := range []side{client, upstream} {
			d.lanes[s].queued = true
			d.loop.again = append(d.loop.again, turnOf{d, s})
		}
		turns := d.loop.takeAgain()
		if len(turns) != 2 || len(d.loop.takeAgain()) > 0 {
			t.Errorf("%d turns, and then more", len(turns))
		}
		for _, turn := range turns {
			turn.l.again(turn.s)
		}
		if d.lanes[client].queued || d.lanes[upstream].queued {
			t.Error("a side is queued still")
		}
	})
}

// TestSocketsThatEpollRefuses are lost at once, and not for ever silent.
func TestSocketsThatEpollRefuses(t *testing.T) {
	t.Run("at the beginning", func(t *testing.T) {
		r := newRelay(t, 1)
		for _, s := range []side{client, upstream} {
			tunnel := new(Tunnel)
			tunnel.begin(Pair{Stall: defaultStall}, Grace, 0)
			d := &looped{loop: r.loops[0], tunnel: tunnel, core: &tunnel.core}
			tunnel.driver = d
			d.lanes[s] = loopedLane{fd: -1}
			d.lanes[s.other()] = loopedLane{fd: -1, watched: true}
			if due := d.start(); due != 0 {
				t.Errorf("there is something to do at %v, want 0", due)
			}
			if got := tunnel.result(); got.By != 1+Party(s) || got.Reason != "reset" {
				t.Errorf("ended by the %v: %s", got.By, got.Reason)
			}
		}
	})
	for _, s := range []side{client, upstream} {
		t.Run("when it takes nothing", func(t *testing.T) {
			g := newRig(t, ways[3].hurried(), Pair{})
			d := g.driver.(*looped)
			g.inside(func(*core) {
				if err := unix.EpollCtl(d.loop.poll.epoll, unix.EPOLL_CTL_DEL, int(d.lanes[s].fd), nil); err != nil {
					t.Error(err)
				}
			})
			from, frame := g.upstream, fromUpstream(0x82, 1<<16)
			if s == upstream {
				from, frame = g.client, fromClient(0x82, 1<<16)
			}
			flooded := make(chan struct{})
			go func() {
				defer close(flooded)
				from.flood(frame)
			}()
			g.closes(1+Party(s), "reset")
			from.hangUp()
			receive(t, flooded)
		})
	}
}

// TestCarryWithoutDescriptors: where the system has none left for a loop,
// goroutines carry a tunnel, which keeps none.
func TestCarryWithoutDescriptors(t *testing.T) {
	for left := range 2 {
		t.Run(strconv.Itoa(left), func(t *testing.T) {
			r := newRelay(t, 1)
			before := descriptors(t)
			near, far := tcp(t)
			back, farther := tcp(t)
			closed := make(chan Result, 1)
			var tunnel *Tunnel
			withDescriptors(t, left, func() {
				tunnel = r.Carry(Pair{Client: near, Upstream: back, Closed: func(r Result) { closed <- r }})
			})
			if _, ok := tunnel.driver.(*pumps); !ok {
				t.Errorf("a %T carries", tunnel.driver)
			}
			c, u := peer{far, t, "the client"}, peer{farther, t, "the upstream"}
			c.send(fromClient(0x82, 5))
			u.gets(fromClient(0x82, 5))
			c.hangUp()
			u.ends()
			u.hangUp()
			receive(t, closed)
			if after := descriptors(t); after != before {
				t.Errorf("%d descriptors are open, %d before", after, before)
			}
		})
	}
}
