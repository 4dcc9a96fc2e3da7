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
	transports = append(transports, transport{name: "loop accepted", grace: Grace, dial: tcp, meet: connectAfterFirstBytes})
}

// listen opens a listener whose connections have small buffers.
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

// connect connects to l, with small buffers.
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

// An acceptedClient is a client and its first bytes.
type acceptedClient struct {
	conn *eventloop.Conn
	data string
}

// A receiver is a function that implements eventloop.Receiver.
type receiver func(data []byte, err error)

func (r receiver) Received(data []byte, _ bool, err error) time.Duration {
	r(data, err)
	return 0
}

// acceptClients makes the loops of r accept the clients of l, give each the
// lease held, and wait for their first bytes.
func acceptClients(t *testing.T, r *Relay, l net.Listener, held eventloop.Lease) (all chan acceptedClient, stop func()) {
	t.Helper()
	all = make(chan acceptedClient, 16)
	stop, ok := r.loops.Accept(l, eventloop.Acceptor{
		Accepted: func(conn *eventloop.Conn) {
			conn.Hold(held)
			first := func(data []byte, err error) {
				if err != nil {
					_ = conn.Close()
					return
				}
				all <- acceptedClient{conn, string(data)}
			}
			if !r.loops.Await(conn, nil, eventloop.Wait{Limit: time.Minute, Receiver: receiver(first)}) {
				t.Error("Await reported false")
			}
		},
		Failed: func(err error) { t.Errorf("accept: %v", err) },
	})
	if !ok {
		t.Fatal("Accept reported false")
	}
	return all, stop
}

// dialBack connects to l, which is the upstream of the test.
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

// connectAfterFirstBytes returns both connections of a tunnel after a loop has
// waited for the first bytes of each.
func connectAfterFirstBytes(t *testing.T, r *Relay) (client, far, upstream, farther net.Conn) {
	t.Helper()
	l := listen(t)
	clients, stop := acceptClients(t, r, l, nil)
	defer stop()
	far = connect(t, l)
	_, _ = io.WriteString(far, "hello")
	came := receive(t, clients)
	if came.data != "hello" {
		t.Errorf("first bytes %q, want %q", came.data, "hello")
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
	if !r.loops.Await(near, came.conn, eventloop.Wait{Limit: time.Minute, Receiver: answered}) {
		t.Fatal("Await reported false")
	}
	_, _ = io.WriteString(farther, "welcome")
	if got := receive(t, first); got != "welcome" {
		t.Errorf("first bytes %q, want %q", got, "welcome")
	}
	return came.conn, far, near, farther
}

// TestNothingIsLost checks that bytes and the end of a stream that arrive
// between the first bytes and Carry are passed on.
func TestNothingIsLost(t *testing.T) {
	r := newRelay(t, shortGrace, eventloop.Options{Loops: 2})
	t.Run("all", func(t *testing.T) { // ends before the relay is closed
		for i := range 50 {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				testNothingLost(t, r)
			})
		}
	})
}

func testNothingLost(t *testing.T, r *Relay) {
	client, far, upstream, farther := connectAfterFirstBytes(t, r)
	_, _ = far.Write(fromClient(0x82, 5))
	_, _ = farther.Write(fromUpstream(0x82, 7))
	if err := farther.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	closed := make(chan Result, 1)
	r.Carry(Pair{Client: client, Upstream: upstream, Closed: func(result Result) { closed <- result }})
	c, u := peer{far, t, "the client"}, peer{farther, t, "the upstream"}
	c.wantGets(fromUpstream(0x82, 7), badGateway)
	c.wantEnd()
	c.closeWrite()
	u.wantGets(fromClient(0x82, 5))
	u.wantEnd()
	if result := receive(t, closed); result.By != TheUpstream || result.Reason != "eof" {
		t.Errorf("ended by the %v: %s; want the %v: eof", result.By, result.Reason, TheUpstream)
	}
}

// waitHandled waits until the only loop of r has handled all current events.
func waitHandled(t *testing.T, r *Relay) {
	t.Helper()
	for range 2 { // between two posts, the loop handles its events
		done := make(chan struct{})
		r.loops.For().Post(func() { close(done) })
		receive(t, done)
	}
}

// TestNothingIsLostByASleepingLoop checks that bytes that were reported to the
// loop before Carry are passed on, even if Carry is called while the loop
// sleeps.
func TestNothingIsLostByASleepingLoop(t *testing.T) {
	r := newRelay(t, shortGrace, eventloop.Options{Loops: 1})
	client, far, upstream, farther := connectAfterFirstBytes(t, r)
	c, u := peer{far, t, "the client"}, peer{farther, t, "the upstream"}
	c.send(fromClient(0x82, 5))
	until(t, "everything has arrived", func() bool { return wsconn.Unsent(far) == 0 })
	waitHandled(t, r)
	until(t, "the loop sleeps", loopSleeps)
	closed := make(chan Result, 1)
	r.Carry(Pair{Client: client, Upstream: upstream, Closed: func(result Result) { closed <- result }})
	u.wantGets(fromClient(0x82, 5))
	c.hangUp()
	u.hangUp()
	receive(t, closed)
}

// TestMoreThanTheFirstRead checks that nothing is lost if an upstream's answer
// fills the buffer and the client sends more before Carry. Epoll has already
// reported both, and does not report them again.
func TestMoreThanTheFirstRead(t *testing.T) {
	for name, more := range map[string]int{"some more": 20000, "nothing more": 0} {
		t.Run(name, func(t *testing.T) {
			r := newRelay(t, shortGrace, eventloop.Options{Loops: 1})
			l := listen(t)
			defer l.Close()
			back, err := net.Listen("tcp", "127.0.0.1:0") // with buffers of the usual size
			if err != nil {
				t.Fatal(err)
			}
			defer back.Close()
			near, farther := dialBack(t, back)
			u := peer{farther, t, "the upstream"}
			all := frameOf(t, eventloop.ReadSize+more, false)
			u.send(all)
			until(t, "everything has arrived", func() bool { return wsconn.Unsent(farther) == 0 })
			first := make(chan []byte, 1)
			answered := receiver(func(data []byte, _ error) { first <- bytes.Clone(data) })
			if !r.loops.Await(near, nil, eventloop.Wait{Limit: time.Minute, Receiver: answered}) {
				t.Fatal("Await reported false")
			}
			early := receive(t, first)
			if len(early) != eventloop.ReadSize {
				t.Fatalf("the first read has %d of %d bytes, want %d", len(early), len(all), eventloop.ReadSize)
			}

			clients, stop := acceptClients(t, r, l, nil)
			defer stop()
			c := peer{connect(t, l), t, "the client"}
			c.send([]byte("hello"))
			came := receive(t, clients)
			c.send(fromClient(0x82, 5))
			until(t, "everything has arrived", func() bool { return wsconn.Unsent(c.Conn) == 0 })
			waitHandled(t, r)
			closed := make(chan Result, 1)
			r.Carry(Pair{Client: came.conn, Upstream: near, FromUpstream: early, Closed: func(r Result) { closed <- r }})
			c.wantGets(all)
			u.wantGets(fromClient(0x82, 5))
			c.hangUp()
			u.hangUp()
			receive(t, closed)
		})
	}
}

// TestConnectionsOfAnotherLoop checks that a loop takes over connections from a
// loop that is closed.
func TestConnectionsOfAnotherLoop(t *testing.T) {
	before := descriptors(t)
	first := newRelay(t, shortGrace, eventloop.Options{Loops: 1})
	second := newRelay(t, shortGrace, eventloop.Options{Loops: 1})
	client, far, upstream, farther := connectAfterFirstBytes(t, first)
	closeNow(t, first)
	closed := make(chan Result, 1)
	second.Carry(Pair{Client: client, Upstream: upstream, Closed: func(result Result) { closed <- result }})
	_, _ = farther.Write(fromUpstream(0x82, 7))
	peer{far, t, "the client"}.wantGets(fromUpstream(0x82, 7))
	_, _ = far.Close(), farther.Close()
	receive(t, closed)
	closeNow(t, second)
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
}

// TestSleepingLoop checks that a sleeping loop wakes up in time for a tunnel
// that is added.
func TestSleepingLoop(t *testing.T) {
	w := transports[3]
	for name, does := range map[string]struct {
		pair Pair
		test func(g *rig)
	}{
		"ping":          {Pair{Ping: 50 * time.Millisecond}, func(g *rig) { g.client.wantGets(pingFrame) }},
		"early data":    {Pair{FromUpstream: fromUpstream(0x82, 5)}, func(g *rig) { g.client.wantGets(fromUpstream(0x82, 5)) }},
		"from client":   {Pair{}, func(g *rig) { g.client.send(fromClient(0x82, 5)); g.upstream.wantGets(fromClient(0x82, 5)) }},
		"from upstream": {Pair{}, func(g *rig) { g.upstream.send(fromUpstream(0x82, 5)); g.client.wantGets(fromUpstream(0x82, 5)) }},
		"end":           {Pair{}, func(g *rig) { g.endAndWait() }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRelay(t, w.grace, eventloop.Options{Loops: 1})
			until(t, "the loop sleeps", loopSleeps)
			does.test(rigOf(t, r, w, does.pair))
		})
	}
}

// loopSleeps reports whether an event loop waits in the runtime's poller. A
// loop without timers then sleeps until an event.
func loopSleeps() bool {
	stacks := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		state, _, _ := strings.Cut(stack, "\n")
		if strings.Contains(state, "[IO wait") && strings.Contains(stack, "(*poller).waitParked") {
			return true
		}
	}
	return false
}
