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

// TestNothingOfTheClientAfterEnd checks that once End was called, nothing from
// the client reaches the upstream, even if the loop gets the client's bytes
// before it runs End.
func TestNothingOfTheClientAfterEnd(t *testing.T) {
	for _, w := range transports {
		if w.portable {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			g := newRig(t, w, Pair{})
			g.client.send(fromClient(0x82, 3)) // the loop has the tunnel once this is through
			g.upstream.wantGets(fromClient(0x82, 3))
			d := g.driver.(*loopDriver)
			frameSent := make(chan struct{})
			d.loop.Post(func() {
				g.client.send(fromClient(0x82, 5))
				g.End(endFrame, func() { close(frameSent) }) // posts the end; the loop runs it later
				d.Event(d.sockets[client].FD(), eventloop.Readable)
			})
			receive(t, frameSent)
			g.wantMasked(endFrame)
			g.client.wantGets(endFrame)
		})
	}
}

// giveSocket gives d a socket of its own for s.
func (d *loopDriver) giveSocket(t *testing.T, s side) {
	t.Helper()
	near, far := tcp(t)
	_ = far.Close()
	var ok bool
	if d.sockets[s], ok = d.loop.Take(near); !ok {
		t.Fatal("no descriptor is left")
	}
	_ = near.Close()
	t.Cleanup(func() { d.loop.Close(&d.sockets[s]) })
}

// TestStart checks that the timer of a new tunnel is due at once only if bytes
// were read before Carry.
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
			d := &loopDriver{loop: r.loops.For(), tunnel: tunnel, core: &tunnel.core}
			d.giveSocket(t, client)
			d.giveSocket(t, upstream)
			if due := d.start(); due != tt.want {
				t.Errorf("due at %v, want %v", due, tt.want)
			}
		})
	}
}

// TestLoopForgetsATunnel checks that a loop keeps no socket and no timer of a
// tunnel that has ended.
func TestLoopForgetsATunnel(t *testing.T) {
	g := newRig(t, transports[3], Pair{Ping: time.Minute})
	g.client.send(fromClient(0x82, 5))
	g.upstream.wantGets(fromClient(0x82, 5))
	d := g.driver.(*loopDriver)
	known := func() (sockets, timers int) {
		g.inDriver(func(*core) {
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
	g.client.reset()
	g.waitClosed(TheClient, "reset")
	if sockets, timers := known(); sockets+timers > 0 {
		t.Errorf("the loop knows %d sockets and %d timers", sockets, timers)
	}
}

// TestTurns checks that a side that has had its next turn can be queued again.
func TestTurns(t *testing.T) {
	g := newRig(t, transports[3], Pair{})
	g.inDriver(func(c *core) {
		d := g.driver.(*loopDriver)
		for _, s := range []side{client, upstream} {
			d.queued[s] = true
			called := false
			c.calls.add(func() { called = true })
			d.Event(d.sockets[s].FD(), 0)
			if d.queued[s] || !called {
				t.Errorf("side %d is queued: %v; a call was made: %v", s, d.queued[s], called)
			}
		}
	})
}

// TestSocketsThatEpollRefuses checks that a socket that epoll refuses is lost
// at once.
func TestSocketsThatEpollRefuses(t *testing.T) {
	t.Run("at the beginning", func(t *testing.T) {
		r := newRelay(t, Grace, eventloop.Options{Loops: 1})
		for _, s := range []side{client, upstream} {
			tunnel := new(Tunnel)
			tunnel.begin(Pair{Stall: defaultStall}, Grace, 0)
			d := &loopDriver{loop: r.loops.For(), tunnel: tunnel, core: &tunnel.core}
			tunnel.driver = d
			d.sockets[s] = eventloop.NewSocket(-1)
			d.giveSocket(t, s.other())
			if due := d.start(); due != 0 {
				t.Errorf("due at %v, want 0", due)
			}
			if got := tunnel.result(); got.By != 1+Party(s) || got.Reason != "reset" {
				t.Errorf("ended by the %v: %s", got.By, got.Reason)
			}
		}
	})
	for _, s := range []side{client, upstream} {
		t.Run("when it takes nothing", func(t *testing.T) {
			g := newRig(t, transports[3].withShortGrace(), Pair{})
			d := g.driver.(*loopDriver)
			g.inDriver(func(*core) {
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
			g.waitClosed(1+Party(s), "reset")
			from.hangUp()
			receive(t, flooded)
		})
	}
}

// TestCarryWithoutDescriptors checks that if no descriptor is left for a loop,
// goroutines carry the tunnel, even if a loop has accepted the client.
func TestCarryWithoutDescriptors(t *testing.T) {
	accepted := func(t *testing.T, r *Relay) (near, far net.Conn) {
		l := listen(t)
		clients, stop := acceptClients(t, r, l, nil)
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
			if _, ok := tunnel.driver.(*pumpDriver); !ok {
				t.Errorf("a %T carries", tunnel.driver)
			}
			client, server := peer{far, t, "the client"}, peer{farther, t, "the upstream"}
			client.send(fromClient(0x82, 5))
			server.wantGets(fromClient(0x82, 5))
			server.send(fromUpstream(0x82, 5))
			client.wantGets(fromUpstream(0x82, 5))
			client.hangUp()
			server.wantEnd()
			server.hangUp()
			receive(t, closed)
			until(t, "no descriptor more is open than before", func() bool { return descriptors(t) == before })
		})
	}
}

// TestTurnEnds checks that a side that sends much is read a few times, and then
// waits until the others have had their turn.
func TestTurnEnds(t *testing.T) {
	g := newRig(t, transports[3], Pair{})
	const turns = 2
	frame := fromClient(0x82, 5)
	all := bytes.Repeat(frame, turns*eventloop.Turn+1)
	g.inDriver(func(c *core) {
		d := g.driver.(*loopDriver)
		l := d.loop
		large := l.Buffer
		l.Buffer = large[:eventloop.Headroom+len(frame)] // one frame per read
		defer func() { l.Buffer = large }()
		g.client.send(all)
		if !becomesTrue(patience, func() bool { return wsconn.Unsent(g.client.Conn) == 0 }) {
			t.Error("the bytes do not arrive")
		}
		d.sockets[client].NoteReadable(eventloop.Readable)
		for i := range turns {
			d.moveBytes(client)
			if want := int64((i + 1) * eventloop.Turn * len(frame)); c.lanes[client].bytes != want || !d.queued[client] {
				t.Errorf("turn %d: read %d bytes in all, want %d; another turn is due: %v", i, c.lanes[client].bytes, want, d.queued[client])
			}
		}
		d.Event(d.sockets[client].FD(), 0)
		if got := c.lanes[client].bytes; got != int64(len(all)) || d.queued[client] {
			t.Errorf("in the end: read %d bytes, want %d; another turn is due: %v", got, len(all), d.queued[client])
		}
	})
	g.upstream.wantGets(all)
}

// TestLagOfABlockedClient checks that the client is behind while its socket is
// blocked, and when it has just become writable.
func TestLagOfABlockedClient(t *testing.T) {
	g := newRig(t, transports[3], Pair{})
	g.inDriver(func(c *core) {
		d := g.driver.(*loopDriver)
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
			c.lag.laggedAt = 0
			step.does()
			if lags := c.lag.laggedAt > 0; lags != step.lags {
				t.Errorf("%s: client is behind: %v", step.name, lags)
			}
		}
	})
}

// TestBorrowedBuffer checks that bytes that a side does not take at once are
// moved to a buffer that the tunnel keeps until all of them are written.
func TestBorrowedBuffer(t *testing.T) {
	g := newRig(t, transports[3], Pair{})
	frame := fromUpstream(0x82, 500)
	g.inDriver(func(c *core) {
		d := g.driver.(*loopDriver)
		l := &c.lanes[upstream]
		copy(d.buffer()[headroom:], frame)
		c.received(upstream, d.buffer(), len(frame), d.loop.Now())
		d.inLoopBuffer[upstream] = true
		for range 2 {
			d.block(upstream)
			if d.inLoopBuffer[upstream] || d.borrowed[upstream] == nil || &l.pending[0] != &d.borrowed[upstream][0] || !bytes.Equal(l.pending, frame) {
				t.Error("the pending bytes are not in a buffer of their own")
			}
		}
		clear(d.loop.Buffer)
		d.Event(d.sockets[client].FD(), eventloop.Writable)
		if d.borrowed[upstream] != nil || len(l.pending) > 0 {
			t.Errorf("%d bytes are pending, buffer kept: %v; want neither", len(l.pending), d.borrowed[upstream] != nil)
		}
	})
	g.client.wantGets(frame)
}

// A lease counts how often it was released.
type lease struct{ atomic.Int64 }

// Release implements eventloop.Lease.
func (l *lease) Release() { l.Add(1) }

// TestCarryKeepsTheLease checks that a client's lease is released when its
// connection is closed, whether a loop carries it or, for lack of a descriptor,
// goroutines do.
func TestCarryKeepsTheLease(t *testing.T) {
	for name, carry := range map[string]func(t *testing.T, f func()){
		"loop":       func(_ *testing.T, f func()) { f() },
		"goroutines": func(t *testing.T, f func()) { withDescriptors(t, 0, f) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRelay(t, shortGrace, eventloop.Options{Loops: 1})
			l := listen(t)
			var held lease
			clients, stop := acceptClients(t, r, l, &held)
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
			u.wantGets(fromClient(0x82, 5))
			if n := held.Load(); n != 0 {
				t.Errorf("released %d times while the tunnel is open, want 0", n)
			}
			c.hangUp()
			u.hangUp()
			receive(t, closed)
			if n := held.Load(); n != 1 {
				t.Errorf("released %d times after the tunnel, want 1", n)
			}
		})
	}
}

// TestWriteThatFails checks that the destination of a failed write is lost at
// once, even if epoll reports nothing.
func TestWriteThatFails(t *testing.T) {
	g := newRig(t, transports[3], Pair{})
	frame := fromUpstream(0x82, 5)
	g.inDriver(func(c *core) {
		d := g.driver.(*loopDriver)
		if err := d.sockets[client].CloseWrite(); err != nil {
			t.Error(err)
		}
		copy(d.buffer()[headroom:], frame)
		c.received(upstream, d.buffer(), len(frame), d.loop.Now())
		d.moveBytes(upstream)
		if c.by != TheClient || c.reason != "reset" || !c.lanes[upstream].lost {
			t.Errorf("ended by the %v: %q; client lost: %v", c.by, c.reason, c.lanes[upstream].lost)
		}
	})
}

// withDescriptors calls f while the process can open only left more files.
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

// TestSizeOfLoopDriver checks that a loopDriver has at most 128 bytes, one of
// the sizes in which Go allocates memory.
func TestSizeOfLoopDriver(t *testing.T) {
	if size := unsafe.Sizeof(loopDriver{}); unsafe.Sizeof(uintptr(0)) == 8 && size > 128 {
		t.Errorf("a loopDriver takes %d bytes, want at most 128", size)
	}
}
