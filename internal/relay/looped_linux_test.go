package relay

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wsauth/internal/connlimit"
	"wsauth/internal/eventloop"
	"wsauth/internal/wsconn"
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
	g.inside(func(c *core) {
		d := g.driver.(*looped)
		for _, s := range []side{client, upstream} {
			d.lanes[s].queued = true
			d.loop.again = append(d.loop.again, turnOf{d, s})
		}
		turns := d.loop.takeAgain()
		if len(turns) != 2 || len(d.loop.takeAgain()) > 0 {
			t.Errorf("%d turns, and then more", len(turns))
		}
		calls := 0
		for _, turn := range turns {
			c.call(func() { calls++ })
			turn.l.again(turn.s)
		}
		if calls != len(turns) {
			t.Errorf("%d calls are made", calls)
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
// goroutines carry a tunnel, which keeps none. They carry clients that a loop
// has accepted, too.
func TestCarryWithoutDescriptors(t *testing.T) {
	accepted := func(t *testing.T, r *Relay) (near, far net.Conn) {
		l := listen(t)
		clients, stop := accepts(t, r, l, time.Minute)
		defer stop()
		far = connect(t, l)
		_, _ = io.WriteString(far, "hello")
		return receive(t, clients).conn, far
	}
	dialedBack := func(t *testing.T, _ *Relay) (near, far net.Conn) {
		l := listen(t)
		defer l.Close()
		return dialBack(t, l)
	}
	pair := func(open func(*testing.T) (near, far net.Conn)) func(*testing.T, *Relay) (near, far net.Conn) {
		return func(t *testing.T, _ *Relay) (near, far net.Conn) { return open(t) }
	}
	for name, c := range map[string]struct {
		client, upstream func(*testing.T, *Relay) (near, far net.Conn)
		left             int
	}{
		"for the client":        {pair(tcp), pair(tcp), 0},
		"for the upstream":      {pair(tcp), pair(tcp), 1},
		"accepted, Unix socket": {accepted, pair(unixSocket), 0},
		"accepted, TCP":         {accepted, pair(tcp), 0},
		"dialed, Unix socket":   {dialedBack, pair(unixSocket), 0},
		"Unix socket, dialed":   {pair(unixSocket), dialedBack, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRelay(t, 2)
			before := descriptors(t)
			near, far := c.client(t, r)
			back, farther := c.upstream(t, r)
			closed := make(chan Result, 1)
			var tunnel *Tunnel
			withDescriptors(t, c.left, func() {
				tunnel = r.Carry(Pair{Client: near, Upstream: back, Closed: func(r Result) { closed <- r }})
			})
			if _, ok := tunnel.driver.(*pumps); !ok {
				t.Errorf("a %T carries", tunnel.driver)
			}
			client, server := peer{far, t, "the client"}, peer{farther, t, "the upstream"}
			client.send(fromClient(0x82, 5))
			server.gets(fromClient(0x82, 5))
			server.send(fromUpstream(0x82, 5))
			client.gets(fromUpstream(0x82, 5))
			client.hangUp()
			server.ends()
			server.hangUp()
			receive(t, closed)
			until(t, "no descriptor more is open than before", func() bool { return descriptors(t) == before })
		})
	}
}

// TestTurnEnds: who sends much is read a few times, and then waits until the
// others have had their turn.
func TestTurnEnds(t *testing.T) {
	g := newRig(t, ways[3], Pair{})
	const turns = 2
	frame := fromClient(0x82, 5)
	all := bytes.Repeat(frame, turns*turn+1)
	g.inside(func(c *core) {
		d := g.driver.(*looped)
		l, lane := d.loop, &d.lanes[client]
		large := l.buffer
		l.buffer = large[:room+len(frame)] // for one frame a read
		defer func() { l.buffer = large }()
		g.client.send(all)
		if !within(patience, func() bool { return wsconn.Unsent(g.client.Conn) == 0 }) {
			t.Error("it does not come")
		}
		lane.readable, lane.final = true, true // so that a small read is not taken for all there is
		for i := range turns {
			d.work(client)
			if want := int64((i + 1) * turn * len(frame)); c.lanes[client].bytes != want || !lane.queued || len(l.again) != 1 {
				t.Errorf("turn %d: read %d bytes in all, want %d; %d sides wait for a turn", i, c.lanes[client].bytes, want, len(l.again))
			}
		}
		for _, turn := range l.takeAgain() {
			turn.l.again(turn.s)
		}
		if got := c.lanes[client].bytes; got != int64(len(all)) || lane.queued || len(l.again) > 0 {
			t.Errorf("in the end: read %d bytes, want %d; %d sides wait for a turn", got, len(all), len(l.again))
		}
	})
	g.upstream.gets(all)
}

// TestLoopHoldsAfterAnEvent: it remembers when a socket last had something.
func TestLoopHoldsAfterAnEvent(t *testing.T) {
	g := newRig(t, ways[3], Pair{})
	g.inside(func(*core) { g.driver.(*looped).loop.heard = 0 })
	g.client.send(fromClient(0x82, 5))
	g.upstream.gets(fromClient(0x82, 5))
	g.inside(func(*core) {
		if g.driver.(*looped).loop.heard == 0 {
			t.Error("it does not")
		}
	})
}

// TestLagOfABlockedClient: the client is behind as long as it takes nothing,
// and when it takes something again.
func TestLagOfABlockedClient(t *testing.T) {
	g := newRig(t, ways[3], Pair{})
	g.inside(func(c *core) {
		d := g.driver.(*looped)
		for _, step := range []struct {
			name    string
			blocked bool
			does    func()
			lags    bool
		}{
			{"it takes all, and is read", false, func() { d.read(client) }, false},
			{"it takes nothing, and is read", true, func() { d.read(client) }, true},
			{"it takes something again", true, func() { d.event(d.lanes[client].fd, unix.EPOLLOUT) }, true},
			{"it could take something before", false, func() { d.event(d.lanes[client].fd, unix.EPOLLOUT) }, false},
		} {
			c.lagged, d.lanes[upstream].blocked = 0, step.blocked
			step.does()
			if lags := c.lagged > 0; lags != step.lags {
				t.Errorf("%s: it is behind: %v", step.name, lags)
			}
		}
	})
}

// TestBlockAsksOnce: epoll is asked once to tell when a side takes something
// again, which it goes on telling.
func TestBlockAsksOnce(t *testing.T) {
	g := newRig(t, ways[3], Pair{})
	g.inside(func(c *core) {
		d := g.driver.(*looped)
		poll, fd := d.loop.poll, d.lanes[client].fd
		d.block(upstream)
		if err := unix.EpollCtl(poll.epoll, unix.EPOLL_CTL_DEL, int(fd), nil); err != nil {
			t.Error(err)
		}
		d.block(upstream)
		if c.reason != "" {
			t.Errorf("asked again: %s", c.reason)
		}
		if err := poll.watch(fd, unix.EPOLL_CTL_ADD, unix.EPOLLOUT); err != nil {
			t.Error(err)
		}
	})
	g.upstream.send(fromUpstream(0x82, 5))
	g.client.gets(fromUpstream(0x82, 5))
}

// TestSocketsStayWatched: what a loop watched while it waited for a first word
// it goes on watching for the tunnel.
func TestSocketsStayWatched(t *testing.T) {
	for _, w := range ways {
		if w.meet == nil {
			continue
		}
		g := newRig(t, w, Pair{})
		g.inside(func(*core) {
			for s, lane := range g.driver.(*looped).lanes {
				if !lane.watched {
					t.Errorf("socket %d is watched anew", s)
				}
			}
		})
	}
}

// TestBorrowedBuffer: what a side does not take at once is moved to a buffer
// that the tunnel has until all of it is taken.
func TestBorrowedBuffer(t *testing.T) {
	g := newRig(t, ways[3], Pair{})
	frame := fromUpstream(0x82, 500)
	g.inside(func(c *core) {
		d := g.driver.(*looped)
		lane, l := &d.lanes[upstream], &c.lanes[upstream]
		copy(d.loop.buffer[room:], frame)
		c.got(upstream, d.loop.buffer, len(frame), d.loop.now)
		lane.fresh = true
		for range 2 {
			d.block(upstream)
			if lane.fresh || lane.borrowed == nil || &l.wait[0] != &lane.borrowed[0] || !bytes.Equal(l.wait, frame) {
				t.Error("what waits is not in a buffer of its own")
			}
		}
		clear(d.loop.buffer)
		d.event(d.lanes[client].fd, unix.EPOLLOUT)
		if lane.borrowed != nil || len(l.wait) > 0 {
			t.Errorf("%d bytes wait, and the buffer is kept: %v", len(l.wait), lane.borrowed != nil)
		}
	})
	g.client.gets(frame)
}

// TestCarryKeepsThePlace of a client that goroutines carry for want of a
// descriptor, until it is gone.
func TestCarryKeepsThePlace(t *testing.T) {
	r := newRelay(t, 1)
	l := listen(t)
	limiter := connlimit.New(connlimit.Limits{Connections: 1, PerAddress: 1}, nil)
	clients, stop := acceptsWithin(t, r, l, time.Minute, limiter)
	defer stop()
	c := peer{connect(t, l), t, "the client"}
	c.send([]byte("hello"))
	came := receive(t, clients).conn
	near, far := tcp(t)
	closed := make(chan Result, 1)
	withDescriptors(t, 0, func() {
		r.Carry(Pair{Client: came, Upstream: near, Closed: func(r Result) { closed <- r }})
	})
	if open, _ := limiter.Usage(); open != 1 {
		t.Errorf("%d places are taken by one client", open)
	}
	c.hangUp()
	_ = far.Close()
	receive(t, closed)
	if open, _ := limiter.Usage(); open != 0 {
		t.Errorf("%d places are taken by nobody", open)
	}
}

// TestDrain: it reads a few times what there is, and no more.
func TestDrain(t *testing.T) {
	frame := fromClient(0x82, 5)
	for sent, left := range map[int]int{0: 0, 1: 0, turn: 0, turn + 1: 1} {
		g := newRig(t, ways[3], Pair{})
		g.inside(func(*core) {
			d := g.driver.(*looped)
			large := d.loop.buffer
			d.loop.buffer = large[:room+len(frame)] // for one frame a read
			defer func() { d.loop.buffer = large }()
			g.client.send(bytes.Repeat(frame, sent))
			if !within(patience, func() bool { return wsconn.Unsent(g.client.Conn) == 0 }) {
				t.Error("it does not come")
			}
			d.drain(client)
			if n, err := eventloop.Recv(d.lanes[client].fd, large); n != left*len(frame) {
				t.Errorf("%d frames: %d bytes are left, %v", sent, n, err)
			}
		})
	}
}

// TestWriteThatFails: the side that it was for is lost at once, whatever epoll
// tells of its socket.
func TestWriteThatFails(t *testing.T) {
	g := newRig(t, ways[3], Pair{})
	frame := fromUpstream(0x82, 5)
	g.inside(func(c *core) {
		d := g.driver.(*looped)
		if err := unix.Shutdown(int(d.lanes[client].fd), unix.SHUT_WR); err != nil {
			t.Error(err)
		}
		copy(d.loop.buffer[room:], frame)
		c.got(upstream, d.loop.buffer, len(frame), d.loop.now)
		d.work(upstream)
		if c.by != TheClient || c.reason != "reset" || !c.gone[client] {
			t.Errorf("ended by the %v: %q; the client is gone: %v", c.by, c.reason, c.gone[client])
		}
	})
}
