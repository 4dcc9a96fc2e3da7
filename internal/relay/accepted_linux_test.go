package relay

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wsauth/internal/eventloop"
	"wsauth/internal/wsconn"
)

func init() {
	ways = append(ways, way{name: "loop accepted", grace: Grace, dial: tcp, meet: meet})
}

// listen opens a listener whose connections hold little.
func listen(t *testing.T) net.Listener {
	t.Helper()
	small := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<17), unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<17))
		})
		return errors.Join(err, failed)
	}}
	l, err := small.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// connect opens the far end of a connection that holds little.
func connect(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tcp := far.(*net.TCPConn)
	if err := errors.Join(tcp.SetReadBuffer(1<<17), tcp.SetWriteBuffer(1<<17)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	return far
}

// accepted is a client with its first bytes.
type accepted struct {
	conn *eventloop.Conn
	data string
}

// A receiver is an eventloop.Receiver.
type receiver func(data []byte, err error)

func (r receiver) Received(data []byte, _ bool, err error) time.Duration {
	r(data, err)
	return 0
}

// accepts has the loops of r accept the clients of l, which hold held, and
// wait for their first bytes.
func accepts(t *testing.T, r *Relay, l net.Listener, held eventloop.Lease) (all chan accepted, stop func()) {
	t.Helper()
	all = make(chan accepted, 16)
	stop, ok := r.loops.Accept(l, eventloop.Acceptor{
		Accepted: func(conn *eventloop.Conn) {
			conn.Hold(held)
			first := func(data []byte, err error) {
				if err != nil {
					_ = conn.Close()
					return
				}
				all <- accepted{conn, string(data)}
			}
			if !r.loops.Await(conn, nil, eventloop.Wait{Limit: time.Minute, To: receiver(first)}) {
				t.Error("no loop waits")
			}
		},
		Failed: func(err error) { t.Errorf("accept: %v", err) },
	})
	if !ok {
		t.Fatal("no loop accepts")
	}
	return all, stop
}

// dialBack opens a connection as an upstream's is opened.
func dialBack(t *testing.T, l net.Listener) (near *eventloop.Conn, far net.Conn) {
	t.Helper()
	near, err := eventloop.Dial(t.Context(), netip.MustParseAddrPort(l.Addr().String()), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	return near, far
}

// meet makes both connections of a tunnel after a loop has waited for the
// first bytes of each.
func meet(t *testing.T, r *Relay) (client, far, upstream, farther net.Conn) {
	t.Helper()
	l := listen(t)
	clients, stop := accepts(t, r, l, nil)
	defer stop()
	far = connect(t, l)
	_, _ = io.WriteString(far, "hello")
	came := receive(t, clients)
	if came.data != "hello" {
		t.Errorf("first came %q", came.data)
	}
	back := listen(t)
	defer back.Close()
	near, farther := dialBack(t, back)
	first := make(chan string, 1)
	answered := receiver(func(data []byte, err error) {
		if err != nil {
			t.Error(err)
		}
		first <- string(data)
	})
	if !r.loops.Await(near, came.conn, eventloop.Wait{Limit: time.Minute, To: answered}) {
		t.Fatal("no loop waits")
	}
	_, _ = io.WriteString(farther, "welcome")
	if got := receive(t, first); got != "welcome" {
		t.Errorf("first came %q", got)
	}
	return came.conn, far, near, farther
}

// TestNothingIsLost: what comes between the first bytes and the tunnel is
// carried, and so is the end of a side.
func TestNothingIsLost(t *testing.T) {
	r := newRelay(t, shortGrace, eventloop.Options{Loops: 2})
	t.Run("all", func(t *testing.T) { // they are over before the relay is
		for i := range 50 {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				losesNothing(t, r)
			})
		}
	})
}

func losesNothing(t *testing.T, r *Relay) {
	client, far, upstream, farther := meet(t, r)
	_, _ = far.Write(fromClient(0x82, 5))
	_, _ = farther.Write(fromUpstream(0x82, 7))
	if err := farther.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	closed := make(chan Result, 1)
	r.Carry(Pair{Client: client, Upstream: upstream, Closed: func(result Result) { closed <- result }})
	c, u := peer{far, t, "the client"}, peer{farther, t, "the upstream"}
	c.gets(fromUpstream(0x82, 7), badGateway)
	c.ends()
	c.closeWrite()
	u.gets(fromClient(0x82, 5))
	u.ends()
	if result := receive(t, closed); result.By != TheUpstream || result.Reason != "eof" {
		t.Errorf("ended by the %v: %s", result.By, result.Reason)
	}
}

// handled waits until the only loop of r has handled the events that there
// are.
func handled(t *testing.T, r *Relay) {
	t.Helper()
	for range 2 { // the loop handles the events of a post before the next
		done := make(chan struct{})
		r.loops.For().Post(func() { close(done) })
		receive(t, done)
	}
}

// TestNothingIsLostByASleepingLoop: a loop that has noted what came before the
// tunnel, and sleeps, carries it.
func TestNothingIsLostByASleepingLoop(t *testing.T) {
	r := newRelay(t, shortGrace, eventloop.Options{Loops: 1})
	client, far, upstream, farther := meet(t, r)
	c, u := peer{far, t, "the client"}, peer{farther, t, "the upstream"}
	c.send(fromClient(0x82, 5))
	until(t, "it has come", func() bool { return wsconn.Unsent(far) == 0 })
	handled(t, r)
	until(t, "the loop sleeps", loopRests)
	closed := make(chan Result, 1)
	r.Carry(Pair{Client: client, Upstream: upstream, Closed: func(result Result) { closed <- result }})
	u.gets(fromClient(0x82, 5))
	c.hangUp()
	u.hangUp()
	receive(t, closed)
}

// TestMoreThanTheFirstRead: an upstream's answer fills the buffer, and the
// client sends more before there is a tunnel. Epoll has reported both then,
// and does not report them again.
func TestMoreThanTheFirstRead(t *testing.T) {
	for name, more := range map[string]int{"some more": 20000, "nothing more": 0} {
		t.Run(name, func(t *testing.T) {
			r := newRelay(t, shortGrace, eventloop.Options{Loops: 1})
			l := listen(t)
			defer l.Close()
			back, err := net.Listen("tcp", "127.0.0.1:0") // it holds much
			if err != nil {
				t.Fatal(err)
			}
			defer back.Close()
			near, farther := dialBack(t, back)
			u := peer{farther, t, "the upstream"}
			all := frameOf(t, eventloop.ReadSize+more, false)
			u.send(all)
			until(t, "it has come", func() bool { return wsconn.Unsent(farther) == 0 })
			first := make(chan []byte, 1)
			answered := receiver(func(data []byte, _ error) { first <- bytes.Clone(data) })
			if !r.loops.Await(near, nil, eventloop.Wait{Limit: time.Minute, To: answered}) {
				t.Fatal("no loop waits")
			}
			early := receive(t, first)
			if len(early) != eventloop.ReadSize {
				t.Fatalf("%d bytes came first, of %d", len(early), len(all))
			}

			clients, stop := accepts(t, r, l, nil)
			defer stop()
			c := peer{connect(t, l), t, "the client"}
			c.send([]byte("hello"))
			came := receive(t, clients)
			c.send(fromClient(0x82, 5))
			until(t, "it has come", func() bool { return wsconn.Unsent(c.Conn) == 0 })
			handled(t, r)
			closed := make(chan Result, 1)
			r.Carry(Pair{Client: came.conn, Upstream: near, FromUpstream: early, Closed: func(r Result) { closed <- r }})
			c.gets(all)
			u.gets(fromClient(0x82, 5))
			c.hangUp()
			u.hangUp()
			receive(t, closed)
		})
	}
}

// TestOfAnotherLoop: a loop takes connections over that another has watched
// which has ended.
func TestOfAnotherLoop(t *testing.T) {
	before := descriptors(t)
	first := newRelay(t, shortGrace, eventloop.Options{Loops: 1})
	second := newRelay(t, shortGrace, eventloop.Options{Loops: 1})
	client, far, upstream, farther := meet(t, first)
	closeNow(t, first)
	closed := make(chan Result, 1)
	second.Carry(Pair{Client: client, Upstream: upstream, Closed: func(result Result) { closed <- result }})
	_, _ = farther.Write(fromUpstream(0x82, 7))
	peer{far, t, "the client"}.gets(fromUpstream(0x82, 7))
	_, _ = far.Close(), farther.Close()
	receive(t, closed)
	closeNow(t, second)
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
}

// TestSleepingLoop: a tunnel for which a loop was not woken has everything in
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
			r := newRelay(t, w.grace, eventloop.Options{Loops: 1})
			until(t, "the loop sleeps", loopRests)
			does.test(rigOf(t, r, w, does.pair))
		})
	}
}

// loopRests reports whether an event loop waits as a goroutine that reads from
// a socket does. A loop without timers then sleeps without limit.
func loopRests() bool {
	stacks := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		state, _, _ := strings.Cut(stack, "\n")
		if strings.Contains(state, "[IO wait") && strings.Contains(stack, "(*poller).rest") {
			return true
		}
	}
	return false
}
