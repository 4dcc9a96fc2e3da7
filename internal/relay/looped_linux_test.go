package relay

import (
	"bytes"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

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
			d.loop.Post(func() {
				g.client.send(fromClient(0x82, 5))
				g.End(goodbye, func() { close(said) }) // orders the end, for later
				d.Event(d.sockets[client].FD(), eventloop.Readable)
			})
			receive(t, said)
			g.getsMasked(goodbye)
			g.client.gets(goodbye)
		})
	}
}

// takes gives d a socket of its own for s.
func (d *looped) takes(t *testing.T, s side) {
	t.Helper()
	near, far := tcp(t)
	_ = far.Close()
	var ok bool
	if d.sockets[s], ok = d.loop.Take(near); !ok {
		t.Fatal("there is no descriptor left")
	}
	_ = near.Close()
	t.Cleanup(func() { d.loop.Close(&d.sockets[s]) })
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
			r := newRelay(t, Grace, eventloop.Options{Loops: 1})
			d := &looped{loop: r.loops.For(), tunnel: tunnel, core: &tunnel.core}
			d.takes(t, client)
			d.takes(t, upstream)
			if due := d.start(); due != tt.want {
				t.Errorf("there is something to do at %v, want %v", due, tt.want)
			}
		})
	}
}

// TestLoopForgetsATunnel that has ended: its sockets and its timer.
func TestLoopForgetsATunnel(t *testing.T) {
	g := newRig(t, ways[3], Pair{Ping: time.Minute})
	g.client.send(fromClient(0x82, 5))
	g.upstream.gets(fromClient(0x82, 5))
	d := g.driver.(*looped)
	known := func() (sockets, timers int) {
		g.inside(func(*core) {
			for s := range d.sockets {
				if d.sockets[s].FD() >= 0 {
					sockets++
				}
			}
			if d.timer.IsSet() {
				timers++
			}
		})
		return sockets, timers
	}
	if sockets, timers := known(); sockets != 2 || timers != 1 {
		t.Errorf("the loop knows %d sockets and %d timers", sockets, timers)
	}
	g.client.breaks()
	g.closes(TheClient, "reset")
	if sockets, timers := known(); sockets+timers > 0 {
		t.Errorf("the loop knows %d sockets and %d timers", sockets, timers)
	}
}

// TestTurns: a side that has another turn may ask for one again.
func TestTurns(t *testing.T) {
	g := newRig(t, ways[3], Pair{})
	g.inside(func(c *core) {
		d := g.driver.(*looped)
		for _, s := range []side{client, upstream} {
			d.queued[s] = true
			called := false
			c.call(func() { called = true })
			d.Event(d.sockets[s].FD(), 0)
			if d.queued[s] || !called {
				t.Errorf("side %d is queued: %v; a call was made: %v", s, d.queued[s], called)
			}
		}
	})
}

// TestSocketsThatEpollRefuses are lost at once, and not for ever silent.
func TestSocketsThatEpollRefuses(t *testing.T) {
	t.Run("at the beginning", func(t *testing.T) {
		r := newRelay(t, Grace, eventloop.Options{Loops: 1})
		for _, s := range []side{client, upstream} {
			tunnel := new(Tunnel)
			tunnel.begin(Pair{Stall: defaultStall}, Grace, 0)
			d := &looped{loop: r.loops.For(), tunnel: tunnel, core: &tunnel.core}
			tunnel.driver = d
			d.sockets[s] = eventloop.NewSocket(-1)
			d.takes(t, s.other())
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
				if err := d.loop.Unwatch(&d.sockets[s]); err != nil {
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
		clients, stop := accepts(t, r, l, nil)
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
			r := newRelay(t, shortGrace, eventloop.Options{Loops: 2})
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
	all := bytes.Repeat(frame, turns*eventloop.Turn+1)
	g.inside(func(c *core) {
		d := g.driver.(*looped)
		l := d.loop
		large := l.Buffer
		l.Buffer = large[:eventloop.Headroom+len(frame)] // for one frame a read
		defer func() { l.Buffer = large }()
		g.client.send(all)
		if !within(patience, func() bool { return wsconn.Unsent(g.client.Conn) == 0 }) {
			t.Error("it does not come")
		}
		d.sockets[client].NoteReadable(eventloop.Readable)
		for i := range turns {
			d.work(client)
			if want := int64((i + 1) * eventloop.Turn * len(frame)); c.lanes[client].bytes != want || !d.queued[client] {
				t.Errorf("turn %d: read %d bytes in all, want %d; another turn is due: %v", i, c.lanes[client].bytes, want, d.queued[client])
			}
		}
		d.Event(d.sockets[client].FD(), 0)
		if got := c.lanes[client].bytes; got != int64(len(all)) || d.queued[client] {
			t.Errorf("in the end: read %d bytes, want %d; another turn is due: %v", got, len(all), d.queued[client])
		}
	})
	g.upstream.gets(all)
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
			{"it takes something again", true, func() { d.Event(d.sockets[client].FD(), eventloop.Writable) }, true},
			{"it could take something before", false, func() { d.Event(d.sockets[client].FD(), eventloop.Writable) }, false},
		} {
			d.sockets[client].Unblock()
			if step.blocked {
				if err := d.loop.Block(&d.sockets[client]); err != nil {
					t.Error(err)
				}
			}
			c.lagged = 0
			step.does()
			if lags := c.lagged > 0; lags != step.lags {
				t.Errorf("%s: it is behind: %v", step.name, lags)
			}
		}
	})
}

// TestBorrowedBuffer: what a side does not take at once is moved to a buffer
// that the tunnel has until all of it is taken.
func TestBorrowedBuffer(t *testing.T) {
	g := newRig(t, ways[3], Pair{})
	frame := fromUpstream(0x82, 500)
	g.inside(func(c *core) {
		d := g.driver.(*looped)
		l := &c.lanes[upstream]
		copy(d.buffer()[room:], frame)
		c.got(upstream, d.buffer(), len(frame), d.loop.Now())
		d.fresh[upstream] = true
		for range 2 {
			d.block(upstream)
			if d.fresh[upstream] || d.borrowed[upstream] == nil || &l.wait[0] != &d.borrowed[upstream][0] || !bytes.Equal(l.wait, frame) {
				t.Error("what waits is not in a buffer of its own")
			}
		}
		clear(d.loop.Buffer)
		d.Event(d.sockets[client].FD(), eventloop.Writable)
		if d.borrowed[upstream] != nil || len(l.wait) > 0 {
			t.Errorf("%d bytes wait, and the buffer is kept: %v", len(l.wait), d.borrowed[upstream] != nil)
		}
	})
	g.client.gets(frame)
}

// A lease counts how often it was released.
type lease struct{ atomic.Int64 }

// Release implements eventloop.Lease.
func (l *lease) Release() { l.Add(1) }

// TestCarryKeepsTheLease of a client until its connection is closed, whether a
// loop carries it or, for want of a descriptor, goroutines do.
func TestCarryKeepsTheLease(t *testing.T) {
	for name, carry := range map[string]func(t *testing.T, f func()){
		"loop":       func(_ *testing.T, f func()) { f() },
		"goroutines": func(t *testing.T, f func()) { withDescriptors(t, 0, f) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRelay(t, shortGrace, eventloop.Options{Loops: 1})
			l := listen(t)
			var held lease
			clients, stop := accepts(t, r, l, &held)
			defer stop()
			c := peer{connect(t, l), t, "the client"}
			c.send([]byte("hello"))
			came := receive(t, clients).conn
			near, far := tcp(t)
			closed := make(chan Result, 1)
			carry(t, func() {
				r.Carry(Pair{Client: came, Upstream: near, Closed: func(r Result) { closed <- r }})
			})
			u := peer{far, t, "the upstream"}
			c.send(fromClient(0x82, 5))
			u.gets(fromClient(0x82, 5))
			if n := held.Load(); n != 0 {
				t.Errorf("released %d times while the tunnel is open", n)
			}
			c.hangUp()
			u.hangUp()
			receive(t, closed)
			if n := held.Load(); n != 1 {
				t.Errorf("released %d times after the tunnel", n)
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
		if err := d.sockets[client].CloseWrite(); err != nil {
			t.Error(err)
		}
		copy(d.buffer()[room:], frame)
		c.got(upstream, d.buffer(), len(frame), d.loop.Now())
		d.work(upstream)
		if c.by != TheClient || c.reason != "reset" || !c.gone[client] {
			t.Errorf("ended by the %v: %q; the client is gone: %v", c.by, c.reason, c.gone[client])
		}
	})
}

// withDescriptors calls f while the process can open so many files more.
func withDescriptors(t *testing.T, left int, f func()) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}()
	next, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(next)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(next + left), Max: limit.Max}); err != nil { //nolint:gosec // not negative
		t.Fatal(err)
	}
	f()
}

// TestSizeOfALoopedTunnel holds what a loop has for a tunnel to 128 bytes, one
// of the sizes in which Go allocates memory.
func TestSizeOfALoopedTunnel(t *testing.T) {
	if size := unsafe.Sizeof(looped{}); unsafe.Sizeof(uintptr(0)) == 8 && size > 128 {
		t.Errorf("it takes %d bytes", size)
	}
}
