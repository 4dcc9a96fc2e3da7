package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wsauth/internal/connlimit"
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

// An accepted is what Accept has told.
type accepted struct {
	conn Client
	data string
}

// accepts has r accept the clients of l.
func accepts(t *testing.T, r *Relay, l net.Listener, patience time.Duration) (all chan accepted, stop func()) {
	t.Helper()
	return acceptsWithin(t, r, l, patience, nil)
}

// acceptsWithin does what accepts does, within the limits of limiter.
func acceptsWithin(t *testing.T, r *Relay, l net.Listener, patience time.Duration, limiter *connlimit.Limiter) (all chan accepted, stop func()) {
	t.Helper()
	all = make(chan accepted, 16)
	stop, ok := r.Accept(l, Accept{
		Patience: patience,
		First:    func(conn Client, data []byte, _ bool) { all <- accepted{conn, string(data)} },
		Failed:   func(err error) { t.Errorf("accept: %v", err) },
		Limiter:  limiter,
	})
	if !ok {
		t.Fatal("no loop accepts")
	}
	return all, stop
}

// An answer is what Await has told.
type answered struct {
	data string
	err  error
}

func awaits(t *testing.T, r *Relay, client, server net.Conn, patience time.Duration, over func() bool) chan answered {
	t.Helper()
	told := make(chan answered, 2)
	if !r.Await(client, server, Answer{Patience: patience, Over: over, First: func(data []byte, err error) { told <- answered{string(data), err} }}) {
		t.Fatal("no loop waits")
	}
	return told
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

func meet(t *testing.T, r *Relay) (client, far, upstream, farther net.Conn) {
	t.Helper()
	l := listen(t)
	clients, stop := accepts(t, r, l, time.Minute)
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
	told := awaits(t, r, came.conn, near, time.Minute, nil)
	_, _ = io.WriteString(farther, "welcome")
	if a := receive(t, told); a.data != "welcome" || a.err != nil {
		t.Errorf("first came %q, %v", a.data, a.err)
	}
	return came.conn, far, near, farther
}

func newRelay(t *testing.T, loops int) *Relay {
	t.Helper()
	r, err := New(Options{Loops: loops, grace: 400 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, r)
	return r
}

// TestAwait: what comes first is told, or why nothing does; once.
func TestAwait(t *testing.T) {
	r := newRelay(t, 1)
	l := listen(t)
	defer l.Close()
	var over atomic.Bool
	for name, c := range map[string]struct {
		patience time.Duration
		over     func() bool
		does     func(far net.Conn)
		data     string
		err      error
	}{
		"an answer": {time.Minute, nil, func(far net.Conn) { _, _ = io.WriteString(far, "yes") }, "yes", nil},
		"the end":   {time.Minute, nil, func(far net.Conn) { _ = far.Close() }, "", io.EOF},
		"a reset":   {time.Minute, nil, func(far net.Conn) { _ = far.(*net.TCPConn).SetLinger(0); _ = far.Close() }, "", unix.ECONNRESET},
		"nothing":   {50 * time.Millisecond, nil, func(net.Conn) {}, "", os.ErrDeadlineExceeded},
		"nobody":    {time.Minute, over.Load, func(net.Conn) { over.Store(true) }, "", errOver},
	} {
		near, far := dialBack(t, l)
		told := awaits(t, r, nil, near, c.patience, c.over)
		if r.Await(nil, near, Answer{}) {
			t.Error("awaited twice")
		}
		c.does(far)
		if a := receive(t, told); a.data != c.data || !errors.Is(a.err, c.err) {
			t.Errorf("%s: %q, %v", name, a.data, a.err)
		}
		_ = near.Close()
		if len(told) > 0 {
			t.Errorf("%s: told twice", name)
		}
	}
	near, _ := dialBack(t, l)
	told := awaits(t, r, nil, near, time.Minute, nil)
	closeNow(t, r)
	if a := receive(t, told); !errors.Is(a.err, errClosed) {
		t.Errorf("the relay's end: %v", a.err)
	}
	_ = near.Close()
	if r.Await(nil, near, Answer{}) {
		t.Error("a closed relay waits")
	}
	if _, ok := r.Accept(l, Accept{}); ok {
		t.Error("a closed relay accepts")
	}
}

// TestArrivalThatCannotBeWatched: epoll takes no file, and whoever waits for
// one is told at once.
func TestArrivalThatCannotBeWatched(t *testing.T) {
	r := newRelay(t, 1)
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, over := range map[string]func() bool{"waits": nil, "asks": func() bool { return false }} {
		told := make(chan error, 1)
		begun := time.Now()
		if !r.loops[0].newArrival(int32(file.Fd()), time.Minute, over, nil, nil, func(_ []byte, err error) { told <- err }) {
			t.Fatal("the loop is closed")
		}
		if err := receive(t, told); !errors.Is(err, unix.EPERM) || time.Since(begun) > 10*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(begun))
		}
	}
}

// TestArrivalThatGivesWay: a connection that waits leaves its place to another
// client.
func TestArrivalThatGivesWay(t *testing.T) {
	r := newRelay(t, 1)
	l := listen(t)
	defer l.Close()
	limiter := connlimit.New(connlimit.Within(1000, 1, 1), func(string, int) {})
	near, _ := dialBack(t, l)
	defer near.Close()
	place, ok := limiter.Enter(near.RemoteAddr())
	if !ok {
		t.Fatal("no place for the first")
	}
	told := make(chan error, 2)
	fd, ok := near.Watch(r.loops[0].poll.epoll)
	if !ok || !r.loops[0].newArrival(fd, 20*time.Second, nil, place, nil, func(_ []byte, err error) { told <- err }) {
		t.Fatal("no loop waits")
	}
	entered := func() bool {
		second, _ := limiter.Enter(near.RemoteAddr())
		defer second.Release()
		return !second.Excess()
	}
	for deadline := time.Now().Add(10 * time.Second); !entered() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if err := receive(t, told); !errors.Is(err, errOver) {
		t.Errorf("told %v", err)
	}
	place.Release()
}

// TestNoLoop: what a loop cannot watch is left to others.
func TestNoLoop(t *testing.T) {
	portable, err := New(Options{Portable: true})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, portable)
	l := listen(t)
	defer l.Close()
	near, _ := dialBack(t, l)
	defer near.Close()
	if _, ok := portable.Accept(l, Accept{}); ok || portable.Await(nil, near, Answer{}) {
		t.Error("a relay without loops waits")
	}
	r := newRelay(t, 1)
	pipe, other := net.Pipe()
	defer pipe.Close()
	defer other.Close()
	unixListener, err := new(net.ListenConfig).Listen(context.Background(), "unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer unixListener.Close()
	if _, ok := r.Accept(unixListener, Accept{}); ok || r.Await(nil, pipe, Answer{}) {
		t.Error("a loop waits for what it cannot watch")
	}
}

// TestNothingIsLost: what comes between the first bytes and the tunnel is carried, and so is the end of a side.
func TestNothingIsLost(t *testing.T) {
	r := newRelay(t, 2)
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

// TestMoreThanTheFirstRead: an upstream's answer fills the buffer, and the
// client sends more before there is a tunnel. Epoll has told of both then, and
// does not tell of them again.
func TestMoreThanTheFirstRead(t *testing.T) {
	for name, more := range map[string]int{"some more": 20000, "nothing more": 0} {
		t.Run(name, func(t *testing.T) {
			r := newRelay(t, 1)
			l := listen(t)
			defer l.Close()
			back, err := net.Listen("tcp", "127.0.0.1:0") // it holds much
			if err != nil {
				t.Fatal(err)
			}
			defer back.Close()
			near, farther := dialBack(t, back)
			u := peer{farther, t, "the upstream"}
			all := frameOf(t, readSize+more, false)
			u.send(all)
			until(t, "it has come", func() bool { return wsconn.Unsent(farther) == 0 })
			first := make(chan []byte, 1)
			if !r.Await(nil, near, Answer{Patience: time.Minute, First: func(data []byte, _ error) { first <- bytes.Clone(data) }}) {
				t.Fatal("no loop waits")
			}
			early := receive(t, first)
			if len(early) != readSize {
				t.Fatalf("%d bytes came first, of %d", len(early), len(all))
			}

			clients, stop := accepts(t, r, l, time.Minute)
			defer stop()
			c := peer{connect(t, l), t, "the client"}
			c.send([]byte("hello"))
			came := receive(t, clients)
			c.send(fromClient(0x82, 5))
			until(t, "the loop knows that both have sent more", func() bool {
				known := make(chan int, 1)
				r.loops[0].order(func() {
					readable := 0
					for _, task := range r.loops[0].of {
						if a, ok := task.(*arrival); ok && a.readable {
							readable++
						}
					}
					known <- readable
				})
				return receive(t, known) == 2
			})
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

// TestOfAnotherLoop: what a loop watches that has come to its end, another takes.
func TestOfAnotherLoop(t *testing.T) {
	before := descriptors(t)
	first, second := newRelay(t, 1), newRelay(t, 1)
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

// TestArrivalKeepsTheNews: after the first bytes an arrival remembers the
// events that its tunnel needs, and no others.
func TestArrivalKeepsTheNews(t *testing.T) {
	const end = unix.EPOLLIN | unix.EPOLLRDHUP
	for name, tt := range map[string]struct {
		sent            int
		events          []uint32
		told            bool
		readable, final bool
	}{
		"nothing":               {events: []uint32{unix.EPOLLIN}},
		"all was read":          {sent: 5, events: []uint32{unix.EPOLLIN}, told: true},
		"more came":             {sent: 5, events: []uint32{unix.EPOLLIN, unix.EPOLLIN}, told: true, readable: true},
		"the end came with it":  {sent: 5, events: []uint32{end}, told: true, readable: true, final: true},
		"the end came later":    {sent: 5, events: []uint32{unix.EPOLLIN, end}, told: true, readable: true, final: true},
		"more came, all at end": {sent: 5, events: []uint32{end, unix.EPOLLIN}, told: true, readable: true, final: true},
	} {
		t.Run(name, func(t *testing.T) {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fds[0])
			defer unix.Close(fds[1])
			told := 0
			a := &arrival{loop: testLoop(t), fd: int32(fds[0])}
			a.timed = timed{task: a, index: untimed}
			a.first = func(data []byte, err error) {
				told++
				if len(data) != tt.sent || err != nil {
					t.Errorf("told %q, %v", data, err)
				}
			}
			if err := sendAll(fds[1], "hello"[:tt.sent]); err != nil {
				t.Fatal(err)
			}
			for _, events := range tt.events {
				a.event(a.fd, events)
			}
			if told == 1 != tt.told || a.readable != tt.readable || a.final != tt.final {
				t.Errorf("told %d times, readable %v, final %v", told, a.readable, a.final)
			}
		})
	}
}

// TestPatienceEndsInTime: at the very time, since the loop does not go on
// before its task has another.
func TestPatienceEndsInTime(t *testing.T) {
	l := testLoop(t)
	var told []error
	a := &arrival{loop: l, until: time.Minute, first: func(_ []byte, err error) { told = append(told, err) }}
	a.timed = timed{task: a, index: untimed}
	for l.now = a.until - 1; l.now <= a.until; l.now++ {
		a.tick()
		if l.now < a.until && (len(told) > 0 || l.timers.next() != a.until) {
			t.Errorf("too early: told %v, next at %v", told, l.timers.next())
		}
	}
	if len(told) != 1 || !errors.Is(told[0], os.ErrDeadlineExceeded) || l.timers.next() != never {
		t.Errorf("told %v, next at %v", told, l.timers.next())
	}
}

// TestNobodyWaits: it is asked until it is so, and then told at once.
func TestNobodyWaits(t *testing.T) {
	l := testLoop(t)
	var over bool
	var told []error
	a := &arrival{loop: l, until: time.Hour, over: func() bool { return over }, first: func(_ []byte, err error) { told = append(told, err) }}
	a.timed = timed{task: a, index: untimed}
	for range 3 {
		if at := l.timers.next(); at != never {
			l.now = at
		}
		a.tick()
		if at := l.timers.next(); len(told) > 0 || at <= l.now || at > time.Since(l.born)+ask {
			t.Fatalf("told %v, next at %v", told, at)
		}
	}
	over = true
	a.tick()
	if len(told) != 1 || !errors.Is(told[0], errOver) || l.timers.next() != never {
		t.Errorf("told %v, next at %v", told, l.timers.next())
	}
}
