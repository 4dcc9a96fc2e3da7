package eventloop

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A receiver is a Receiver that wants no more bytes.
type receiver func(data []byte, err error)

func (r receiver) Received(data []byte, _ bool, err error) time.Duration {
	r(data, err)
	return 0
}

// received holds the arguments of Receiver.Received.
type received struct {
	data string
	err  error
}

// startWait makes a loop wait for the first bytes of conn.
func startWait(t *testing.T, g *Group, conn net.Conn, limit time.Duration, over func() bool) chan received {
	t.Helper()
	results := make(chan received, 2)
	to := receiver(func(data []byte, err error) { results <- received{string(data), err} })
	if !g.Await(conn, nil, Wait{Limit: limit, Canceled: over, Receiver: to}) {
		t.Fatal("no loop waits")
	}
	return results
}

// dialed opens a connection to l.
func dialed(t *testing.T, l net.Listener) (near *Conn, far *net.TCPConn) {
	t.Helper()
	near, err := Dial(t.Context(), netip.MustParseAddrPort(l.Addr().String()), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close() })
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return near, conn.(*net.TCPConn)
}

// TestAwait checks that a Receiver is called once, with the first bytes or an
// error.
func TestAwait(t *testing.T) {
	g := newGroup(t, 1)
	l := listen(t)
	defer l.Close()
	var over atomic.Bool
	for name, c := range map[string]struct {
		limit time.Duration
		over  func() bool
		does  func(far *net.TCPConn)
		data  string
		err   error
	}{
		"an answer": {time.Minute, nil, func(far *net.TCPConn) { _, _ = io.WriteString(far, "yes") }, "yes", nil},
		"the end":   {time.Minute, nil, func(far *net.TCPConn) { _ = far.Close() }, "", io.EOF},
		"a reset":   {time.Minute, nil, func(far *net.TCPConn) { _ = far.SetLinger(0); _ = far.Close() }, "", unix.ECONNRESET},
		"nothing":   {50 * time.Millisecond, nil, func(*net.TCPConn) {}, "", os.ErrDeadlineExceeded},
		"given up":  {time.Minute, over.Load, func(*net.TCPConn) { over.Store(true) }, "", ErrCanceled},
	} {
		near, far := dialed(t, l)
		results := startWait(t, g, near, c.limit, c.over)
		if g.Await(near, nil, Wait{}) {
			t.Error("awaited twice")
		}
		c.does(far)
		if a := receive(t, results); a.data != c.data || !errors.Is(a.err, c.err) {
			t.Errorf("%s: got %q, %v, want %q, %v", name, a.data, a.err, c.data, c.err)
		}
		_ = near.Close()
		if len(results) > 0 {
			t.Errorf("%s: called twice", name)
		}
	}
	near, _ := dialed(t, l)
	results := startWait(t, g, near, time.Minute, nil)
	closeNow(t, g)
	if a := receive(t, results); !errors.Is(a.err, ErrClosed) {
		t.Errorf("the end of the loop: got %v, want %v", a.err, ErrClosed)
	}
	another, _ := dialed(t, l)
	if g.Await(another, nil, Wait{}) {
		t.Error("a closed group waits")
	}
	if _, ok := g.Accept(l, Acceptor{}); ok {
		t.Error("a closed group accepts")
	}
}

// TestAwaitNear checks that a wait uses the loop that watches the near
// connection.
func TestAwaitNear(t *testing.T) {
	g := newGroup(t, 3)
	l := listen(t)
	defer l.Close()
	first, _ := dialed(t, l)
	startWait(t, g, first, time.Minute, nil)
	for range 4 {
		near, _ := dialed(t, l)
		if !g.Await(near, first, Wait{Limit: time.Minute, Receiver: receiver(func([]byte, error) {})}) || near.watcher() != first.watcher() {
			t.Error("another loop waits")
		}
	}
}

// A countingReceiver asks for more until it has a number of bytes.
type countingReceiver struct {
	want    int
	got     []byte
	more    time.Duration
	results chan received
}

func (p *countingReceiver) Received(data []byte, _ bool, err error) time.Duration {
	p.got = append(p.got, data...)
	if len(p.got) < p.want && err == nil {
		return p.more
	}
	p.results <- received{string(p.got), err}
	return 0
}

// TestAwaitMore checks that a Receiver is called again while it asks for more.
func TestAwaitMore(t *testing.T) {
	g := newGroup(t, 1)
	l := listen(t)
	defer l.Close()
	for name, c := range map[string]struct {
		pieces []string
		end    bool
		more   time.Duration
		data   string
		err    error
	}{
		"pieces":        {[]string{"one", "two", "three"}, false, time.Minute, "onetwothree", nil},
		"then nothing":  {[]string{"one", "two"}, false, 50 * time.Millisecond, "onetwo", os.ErrDeadlineExceeded},
		"then the end":  {[]string{"one", "two"}, true, time.Minute, "onetwo", io.EOF},
		"all with more": {[]string{"one", "two, three and four"}, false, time.Minute, "onetwo, three and four", nil},
	} {
		near, far := dialed(t, l)
		p := &countingReceiver{want: len("onetwothree"), more: c.more, results: make(chan received, 2)}
		if !g.Await(near, nil, Wait{Limit: time.Minute, Receiver: p}) {
			t.Fatal("no loop waits")
		}
		for _, piece := range c.pieces {
			_, _ = io.WriteString(far, piece)
		}
		if c.end {
			_ = far.CloseWrite()
		}
		if a := receive(t, p.results); a.data != c.data || !errors.Is(a.err, c.err) {
			t.Errorf("%s: got %q, %v, want %q, %v", name, a.data, a.err, c.data, c.err)
		}
	}
}

// TestWaitThatCannotBeWatched checks that the Receiver is called at once if
// epoll refuses the descriptor, such as that of a file.
func TestWaitThatCannotBeWatched(t *testing.T) {
	g := newGroup(t, 1)
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, over := range map[string]func() bool{"waits": nil, "asks": func() bool { return false }} {
		results := make(chan error, 1)
		start := time.Now()
		w := Wait{Limit: time.Minute, Canceled: over, Receiver: receiver(func(_ []byte, err error) { results <- err })}
		if !g.loops[0].await(NewSocket(int32(file.Fd())), w) {
			t.Fatal("the loop is closed")
		}
		if err := receive(t, results); !errors.Is(err, unix.EPERM) || time.Since(start) > 10*time.Second {
			t.Errorf("%s: got %v after %v, want %v at once", name, err, time.Since(start), unix.EPERM)
		}
	}
}

// TestNoLoop checks that Await and Accept report false for connections and
// listeners that a loop cannot watch.
func TestNoLoop(t *testing.T) {
	portable, err := New(Options{Portable: true})
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	defer l.Close()
	near, _ := dialed(t, l)
	if _, ok := portable.Accept(l, Acceptor{}); ok || portable.Await(near, nil, Wait{}) || portable.For(near) != nil {
		t.Error("a group without loops waits")
	}
	g := newGroup(t, 1)
	pipe, other := net.Pipe()
	defer pipe.Close()
	defer other.Close()
	unixListener, err := new(net.ListenConfig).Listen(context.Background(), "unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer unixListener.Close()
	if _, ok := g.Accept(unixListener, Acceptor{}); ok || g.Await(pipe, nil, Wait{}) {
		t.Error("Await reported true for a connection that a loop cannot watch")
	}
}

// socketPair returns the descriptors of two sockets that are connected.
func socketPair(t *testing.T) (near, far int32) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
	})
	return int32(fds[0]), int32(fds[1])
}

// TestWaitKeepsEvents checks that after the first bytes, a wait remembers the
// events that the next handler needs, and no others.
func TestWaitKeepsEvents(t *testing.T) {
	const end = Readable | unix.EPOLLRDHUP
	for name, tt := range map[string]struct {
		sent    int
		events  []Events
		results bool
		input   input
	}{
		"nothing":               {events: []Events{Readable}},
		"all was read":          {sent: 5, events: []Events{Readable}, results: true},
		"more came":             {sent: 5, events: []Events{Readable, Readable}, results: true, input: someInput},
		"the end came with it":  {sent: 5, events: []Events{end}, results: true, input: lastInput},
		"the end came later":    {sent: 5, events: []Events{Readable, end}, results: true, input: lastInput},
		"more came, all at end": {sent: 5, events: []Events{end, Readable}, results: true, input: lastInput},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := socketPair(t)
			results := 0
			w := &wait{loop: testLoop(t), socket: NewSocket(near)}
			w.receiver = receiver(func(data []byte, err error) {
				results++
				if len(data) != tt.sent || err != nil {
					t.Errorf("got %q, %v, want %d bytes", data, err, tt.sent)
				}
			})
			if _, err := unix.Write(int(far), []byte("hello"[:tt.sent])); err != nil {
				t.Fatal(err)
			}
			for _, events := range tt.events {
				w.Event(near, events)
			}
			if results == 1 != tt.results || w.socket.input != tt.input {
				t.Errorf("called %d times, input %v; want called %v, input %v", results, w.socket.input, tt.results, tt.input)
			}
			for stage, want := range map[stage]input{watched: tt.input, taken: noInput} {
				w.loop.setHandler(near, w)
				s := Socket{fd: near, stage: stage}
				if w.loop.Add(&s, &handler{}); s.input != want {
					t.Errorf("stage %v: the next handler finds input %v, want %v", stage, s.input, want)
				}
			}
		})
	}
}

// TestLimitEndsInTime checks that a wait ends exactly at its limit.
func TestLimitEndsInTime(t *testing.T) {
	l := testLoop(t)
	var results []error
	w := &wait{loop: l, until: time.Minute, receiver: receiver(func(_ []byte, err error) { results = append(results, err) })}
	w.timer.Handler = w
	l.SetTimer(&w.timer, 0)
	for l.now = w.until - 1; l.now <= w.until; l.now++ {
		l.runTimers()
		if l.now < w.until && (len(results) > 0 || l.timers.next() != w.until) {
			t.Errorf("before the deadline: got %v, next at %v; want nothing, next at %v", results, l.timers.next(), w.until)
		}
	}
	if len(results) != 1 || !errors.Is(results[0], os.ErrDeadlineExceeded) || l.timers.next() != never {
		t.Errorf("got %v, next at %v; want a timeout and no timer", results, l.timers.next())
	}
}

// TestCanceled checks that Wait.Canceled is called until it returns true, and
// that the Receiver is then called at once.
func TestCanceled(t *testing.T) {
	l := testLoop(t)
	var over bool
	var results []error
	w := &wait{loop: l, until: time.Hour, canceled: func() bool { return over }, receiver: receiver(func(_ []byte, err error) { results = append(results, err) })}
	w.timer.Handler = w
	l.SetTimer(&w.timer, 0)
	for range 3 {
		l.now = l.timers.next()
		l.runTimers()
		if at := l.timers.next(); len(results) > 0 || at <= l.now || at > l.Elapsed()+cancelCheck {
			t.Fatalf("got %v, next at %v; want nothing, and the next check within %v", results, at, cancelCheck)
		}
	}
	over = true
	l.now = l.timers.next()
	l.runTimers()
	if len(results) != 1 || !errors.Is(results[0], ErrCanceled) || l.timers.next() != never {
		t.Errorf("got %v, next at %v; want %v and no timer", results, l.timers.next(), ErrCanceled)
	}
}

// TestMoreTime checks that the time for more bytes starts when the first ones
// arrive.
func TestMoreTime(t *testing.T) {
	l := testLoop(t)
	w := &wait{loop: l, until: time.Minute, receiver: &countingReceiver{want: 9, more: time.Hour}}
	w.timer.Handler = w
	l.SetTimer(&w.timer, w.until)
	before := l.Elapsed()
	if w.deliver([]byte("one"), nil); w.receiver == nil || w.until < before+time.Hour || w.timer.due != w.until {
		t.Errorf("until %v, due %v; want the same, an hour or more", w.until-before, w.timer.due-before)
	}
}
