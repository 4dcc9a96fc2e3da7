package eventloop

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestSocketRead checks that CanRead reports true while there may be more
// bytes.
func TestSocketRead(t *testing.T) {
	const hello = "hello"
	for name, tt := range map[string]struct {
		sent     string
		ends     bool
		events   Events
		reads    []int // bytes, with a buffer of five
		err      error // of the last read
		readable bool  // after the last read
	}{
		"nothing":         {"", false, Readable, []int{0}, ErrNotReady, false},
		"a little":        {hello[:3], false, Readable, []int{3}, nil, false},
		"all there is":    {hello, false, Readable, []int{5}, nil, true},
		"more":            {hello + hello, false, Readable, []int{5, 5}, nil, true},
		"and no more":     {hello, false, Readable, []int{5, 0}, ErrNotReady, false},
		"before the end":  {hello[:3], true, ended, []int{3}, nil, true},
		"the end":         {hello[:3], true, ended, []int{3, 0}, io.EOF, false},
		"a false end":     {hello[:3], false, ended, []int{3, 0}, ErrNotReady, false},
		"a second change": {"", false, Writable, []int{0}, ErrNotReady, false},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := socketPair(t)
			if _, err := unix.Write(int(far), []byte(tt.sent)); err != nil {
				t.Fatal(err)
			}
			if tt.ends {
				if err := unix.Shutdown(int(far), unix.SHUT_WR); err != nil {
					t.Fatal(err)
				}
			}
			s := NewSocket(near)
			if noted := s.NoteReadable(tt.events); noted != (tt.events != Writable) || s.CanRead() != noted {
				t.Errorf("NoteReadable = %v, CanRead = %v; want %v for both", noted, s.CanRead(), tt.events != Writable)
			}
			var n int
			var err error
			for _, want := range tt.reads {
				if n, err = s.Read(make([]byte, 5)); n != want {
					t.Errorf("read %d, want %d", n, want)
				}
			}
			if !errors.Is(err, tt.err) || s.CanRead() != tt.readable {
				t.Errorf("%v, and can be read %v; want %v, %v", err, s.CanRead(), tt.err, tt.readable)
			}
		})
	}
}

// TestSocketWrite checks that bytes and the end of the stream reach the peer.
func TestSocketWrite(t *testing.T) {
	near, far := socketPair(t)
	s, peer := NewSocket(near), NewSocket(far)
	if n, err := s.Write([]byte("out")); n != 3 || err != nil {
		t.Errorf("wrote %d, %v, want 3", n, err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Error(err)
	}
	got := make([]byte, 9)
	if n, err := peer.Read(got); string(got[:n]) != "out" || err != nil {
		t.Errorf("the peer read %q, %v, want %q", got[:n], err, "out")
	}
	if n, err := peer.Read(got); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("after the end, the peer read %d, %v, want 0, %v", n, err, io.EOF)
	}
	for {
		if _, err := peer.Write(make([]byte, ReadSize)); err != nil {
			if !errors.Is(err, ErrNotReady) {
				t.Error(err)
			}
			break
		}
	}
}

// TestBlock checks that Block makes one system call for a socket, after which
// epoll keeps reporting when it becomes writable. It fails for a socket that
// epoll does not watch.
func TestBlock(t *testing.T) {
	l := testLoop(t)
	near, _ := socketPair(t)
	s := NewSocket(near)
	if err := l.Watch(&s); err != nil {
		t.Fatal(err)
	}
	for _, events := range []Events{Readable, Writable, failed} {
		if s.Unblocks(events) {
			t.Errorf("a socket that is not blocked: Unblocks(%x) = true, want false", events)
		}
	}
	if err := l.Block(&s); err != nil || !s.Blocked() {
		t.Errorf("Block: %v, blocked %v; want no error, true", err, s.Blocked())
	}
	for events, want := range map[Events]bool{Readable: false, Writable: true, unix.EPOLLHUP: true, unix.EPOLLERR: true, unix.EPOLLRDHUP: false} {
		if s.Unblocks(events) != want {
			t.Errorf("unblocked by %x: %v", events, !want)
		}
	}
	if n := l.poll.poll(); n != 1 || Events(l.poll.events[0].Events)&Writable == 0 {
		t.Errorf("%d events, the first %x; want 1, writable", n, l.poll.events[0].Events)
	}
	if s.Unblock(); s.Blocked() {
		t.Error("blocked")
	}
	if err := l.Unwatch(&s); err != nil {
		t.Fatal(err)
	}
	if err := l.Block(&s); err != nil { // no further system call
		t.Error(err)
	}
	s.watchesWritable = false
	if err := l.Block(&s); !errors.Is(err, unix.ENOENT) {
		t.Errorf("a socket that is not watched: Block = %v, want %v", err, unix.ENOENT)
	}
}

// TestTake checks that a loop takes over an awaited socket with its recorded
// events, and other sockets without any. GiveBack undoes it.
func TestTake(t *testing.T) {
	g := newGroup(t, 1)
	l, other := g.loops[0], newGroup(t, 1).loops[0]
	inside := func(f func()) {
		t.Helper()
		done := make(chan struct{})
		l.Post(func() {
			defer close(done)
			f()
		})
		receive(t, done)
	}
	for name, tt := range map[string]struct {
		prepare func(c *Conn)
		watched bool
	}{
		"new":             {func(*Conn) {}, false},
		"awaited":         {func(c *Conn) { startWait(t, g, c, time.Minute, nil) }, true},
		"of another loop": {func(c *Conn) { startWait(t, other.group, c, time.Minute, nil) }, false},
		"waited for":      {func(c *Conn) { c.mu.Lock(); c.usePoller(); c.mu.Unlock() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, far := pair(t)
			var held lease
			c.Hold(&held)
			tt.prepare(c)
			if !IsSocket(c) {
				t.Fatal("it is not a socket")
			}
			var s Socket
			inside(func() {
				var ok bool
				s, ok = l.Take(c)
				if err := c.Close(); !ok || !errors.Is(err, net.ErrClosed) || s.stage == watched != tt.watched {
					t.Errorf("taken %v, stage %v, close: %v; want true, watched %v, %v", ok, s.stage, err, tt.watched, net.ErrClosed)
				}
				l.GiveBack(c, s)
			})
			if _, err := io.WriteString(c, "back"); err != nil {
				t.Error(err)
			}
			if by := c.watcher(); by == l != tt.watched {
				t.Errorf("watched by %v, want by the loop: %v", by, tt.watched)
			}
			h := &handler{}
			inside(func() {
				s, _ = l.Take(c)
				if err := l.Watch(&s); err != nil {
					t.Error(err)
				}
				l.Add(&s, h)
				if n, err := s.Write([]byte(" on")); n != 3 || err != nil {
					t.Errorf("wrote %d, %v, want 3", n, err)
				}
				if held.Load() != 0 {
					t.Error("released too early")
				}
			})
			before := handlers(t, l)
			inside(func() {
				l.Close(&s)
				l.Close(&s)
			})
			if n := handlers(t, l); s.FD() != -1 || n != before-1 || held.Load() != 1 {
				t.Errorf("descriptor %d, %d handlers, released %d times; want -1, %d, 1", s.FD(), n, held.Load(), before-1)
			}
			got, err := io.ReadAll(far)
			if string(got) != "back on" || err != nil {
				t.Errorf("read %q, %v, want %q", got, err, "back on")
			}
		})
	}
}

// TestTakeWhileTheLoopSleeps checks that events that a wait recorded before the
// loop went to sleep reach the next handler.
func TestTakeWhileTheLoopSleeps(t *testing.T) {
	g := newGroup(t, 1)
	l := g.loops[0]
	listener := listen(t)
	defer listener.Close()
	c, far := dialed(t, listener)
	told := startWait(t, g, c, time.Minute, nil)
	for _, text := range []string{"first", "more"} {
		if _, err := io.WriteString(far, text); err != nil {
			t.Fatal(err)
		}
		if text == "first" {
			receive(t, told)
		}
	}
	until(t, "the wait has noted more", func() bool {
		noted := make(chan bool, 1)
		l.Post(func() { noted <- l.handler(c.fd).(*wait).socket.CanRead() })
		return receive(t, noted)
	})
	waitUntilParked(t)
	s, ok := l.Take(c)
	if !ok {
		t.Fatal("not taken")
	}
	got := make(chan string, 1)
	h := &handler{onEvent: func() {
		data := make([]byte, 9)
		n, _ := s.Read(data)
		got <- string(data[:n])
		l.Close(&s)
	}}
	l.Adopt(func() time.Duration {
		if err := l.Watch(&s); err != nil {
			t.Error(err)
		}
		return never
	}, func() { l.Add(&s, h) })
	if text := receive(t, got); text != "more" {
		t.Errorf("got %q, want %q", text, "more")
	}
}

// TestTakeNetConn checks that the descriptor of a connection of the net package
// is duplicated, and the connection still works after GiveBack.
func TestTakeNetConn(t *testing.T) {
	l := testLoop(t)
	listener := listen(t)
	defer listener.Close()
	conn := connectTo(t, listener)
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	before := descriptors(t)
	s, ok := l.Take(conn)
	if !ok || !IsSocket(conn) || descriptors(t) != before+1 {
		t.Errorf("taken %v, %d more descriptors; want true, 1", ok, descriptors(t)-before)
	}
	if l.GiveBack(conn, s); descriptors(t) != before {
		t.Errorf("%d more descriptors after GiveBack, want none", descriptors(t)-before)
	}
	if _, err := io.WriteString(conn, "x"); err != nil {
		t.Error(err)
	}
	withDescriptors(t, 0, func() {
		if _, ok := l.Take(conn); ok {
			t.Error("taken without a descriptor")
		}
	})
}

// TestIsSocket checks that connections with unread bytes and wrapped
// connections are not sockets.
func TestIsSocket(t *testing.T) {
	c, _ := pair(t)
	embeds := struct{ *Conn }{c}
	wraps := struct{ net.Conn }{c}
	pipe, _ := net.Pipe()
	defer pipe.Close()
	if !IsSocket(c) || !IsSocket(embeds) || IsSocket(wraps) || IsSocket(pipe) || IsSocket(nil) {
		t.Errorf("IsSocket = %v %v %v %v %v, want true true false false false", IsSocket(c), IsSocket(embeds), IsSocket(wraps), IsSocket(pipe), IsSocket(nil))
	}
	if c.Unread([]byte("x")); IsSocket(c) {
		t.Error("it has something to be read again")
	}
}

// TestUnsent checks that Unsent counts bytes that the peer has not read or
// acknowledged.
func TestUnsent(t *testing.T) {
	near, _ := socketPair(t)
	s := NewSocket(near)
	if n := s.Unsent(); n != 0 {
		t.Errorf("%d unsent bytes, want none", n)
	}
	if _, err := s.Write([]byte("out")); err != nil {
		t.Fatal(err)
	}
	if n := s.Unsent(); n == 0 { // for a Unix socket, the kernel also counts its own memory
		t.Error("nothing is unsent")
	}
	if s.fd = -1; s.Unsent() != 0 {
		t.Errorf("a closed socket: %d unsent bytes, want none", s.Unsent())
	}
}

// TestDrop checks that Drop discards unread bytes, up to about the limit.
func TestDrop(t *testing.T) {
	const piece = 8 << 10
	for sent, left := range map[int]int{0: 0, 1: 0, piece: 0, 2 * piece: 0, 2*piece + 1: 1, 3 * piece: piece} {
		near, far := socketPair(t)
		if _, err := unix.Write(int(far), make([]byte, sent)); err != nil {
			t.Fatal(err)
		}
		s := NewSocket(near)
		s.Drop(2 * piece)
		if n, _ := s.Read(make([]byte, ReadSize)); n != left {
			t.Errorf("of %d bytes %d are left, want %d", sent, n, left)
		}
	}
}

// TestDropUnread checks that unread bytes are discarded, whatever the deadline
// is, and later ones are not.
func TestDropUnread(t *testing.T) {
	l := listen(t)
	defer l.Close()
	for name, dial := range map[string]func() (near net.Conn, far *net.TCPConn){
		"net": func() (near net.Conn, far *net.TCPConn) {
			far = connectTo(t, l)
			near, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			return near, far
		},
		"Conn": func() (near net.Conn, far *net.TCPConn) { return dialed(t, l) },
	} {
		t.Run(name, func(t *testing.T) {
			near, far := dial()
			defer near.Close()
			_ = near.SetReadDeadline(time.Unix(1, 0)) // must not matter
			send := func(text string) {
				t.Helper()
				if _, err := io.WriteString(far, text); err != nil {
					t.Fatal(err)
				}
			}
			s := socketOf(t, far)
			send("dropped")
			until(t, "it has come", func() bool { return s.Unsent() == 0 })
			DropUnread(near, 1<<10)
			send("kept")
			if err := near.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len("kept"))
			if _, err := io.ReadFull(near, got); err != nil || string(got) != "kept" {
				t.Errorf("read %q, %v, want %q", got, err, "kept")
			}
			_ = far.Close()
			DropUnread(near, 1<<10)
			_ = near.Close()
			DropUnread(near, 1<<10)
		})
	}
}

// socketOf returns a Socket with a duplicated descriptor of conn.
func socketOf(t *testing.T, conn *net.TCPConn) Socket {
	t.Helper()
	fd, ok := duplicate(conn)
	if !ok {
		t.Fatal("no descriptor is left")
	}
	t.Cleanup(func() { _ = unix.Close(int(fd)) })
	return NewSocket(fd)
}

// TestSizes checks that a Socket and a Timer, which each tunnel has, stay
// within sizes in which Go allocates memory.
func TestSizes(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		return
	}
	if size := unsafe.Sizeof(Socket{}); size > 24 {
		t.Errorf("a Socket takes %d bytes, want at most 24", size)
	}
	if size := unsafe.Sizeof(Timer{}); size > 32 {
		t.Errorf("a Timer takes %d bytes, want at most 32", size)
	}
}
