package eventloop

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair returns a Conn and the other end of its connection.
func pair(t *testing.T) (*Conn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := connFrom(t, accepted.(*net.TCPConn))
	t.Cleanup(func() { _ = c.Close() })
	return c, far.(*net.TCPConn)
}

// connFrom returns a Conn with the socket of a connection of the net package.
func connFrom(t *testing.T, conn *net.TCPConn) *Conn {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var fd int
	var failed error
	err = raw.Control(func(of uintptr) { fd, failed = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, failed, conn.Close()); err != nil {
		t.Fatal(err)
	}
	return newConn(int32(fd), conn.LocalAddr(), conn.RemoteAddr())
}

func (c *Conn) waits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.file != nil
}

// waitFor waits until a socket has something to read.
func waitFor(t *testing.T, fd int32) {
	t.Helper()
	fds := []unix.PollFd{{Fd: fd, Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, int(patience.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n != 1 {
			t.Fatalf("got %d bytes, %v, want 1", n, err)
		}
		return
	}
}

// TestWithoutWaiting checks that reads and writes that need not wait do not use
// the runtime's poller.
func TestWithoutWaiting(t *testing.T) {
	c, far := pair(t)
	if _, err := io.WriteString(far, "in"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, c.fd)
	got := make([]byte, 9)
	if n, err := c.Read(got); err != nil || string(got[:n]) != "in" {
		t.Errorf("read %q, %v, want %q", got[:n], err, "in")
	}
	if n, err := c.Write([]byte("out")); n != 3 || err != nil {
		t.Errorf("wrote %d, %v, want 3", n, err)
	}
	if _, err := io.ReadFull(far, got[:3]); err != nil || string(got[:3]) != "out" {
		t.Errorf("the other end read %q, %v, want %q", got[:3], err, "out")
	}
	if err := c.CloseWrite(); err != nil {
		t.Error(err)
	}
	if n, err := far.Read(got); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("after the end, the other end read %d, %v, want 0, %v", n, err, io.EOF)
	}
	if err := far.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, c.fd)
	if n, err := c.Read(got); n != 0 || err != io.EOF { //nolint:errorlint // as net.Conn's
		t.Errorf("at the end: read %d, %v, want 0, %v", n, err, io.EOF)
	}
	if c.waits() {
		t.Error("the runtime's poller knows it")
	}
}

// TestReadWaits checks that a read waits for bytes.
func TestReadWaits(t *testing.T) {
	c, far := pair(t)
	read := make(chan string, 1)
	go func() {
		got := make([]byte, 9)
		n, err := c.Read(got)
		if err != nil {
			t.Error(err)
		}
		read <- string(got[:n])
	}()
	for !c.waits() {
		runtime.Gosched()
	}
	if _, err := io.WriteString(far, "late"); err != nil {
		t.Fatal(err)
	}
	if got := <-read; got != "late" {
		t.Errorf("read %q, want %q", got, "late")
	}
}

// TestLongWrite checks that bytes that exceed the buffers arrive whole, and two
// writes do not mix.
func TestLongWrite(t *testing.T) {
	c, far := pair(t)
	const size = 16 << 20
	var writers sync.WaitGroup
	for _, b := range []byte{'a', 'b'} {
		writers.Go(func() {
			if n, err := c.Write(bytes.Repeat([]byte{b}, size)); n != size || err != nil {
				t.Errorf("wrote %d, %v, want %d", n, err, size)
			}
		})
	}
	got := make([]byte, 2*size)
	if _, err := io.ReadFull(far, got); err != nil {
		t.Fatal(err)
	}
	writers.Wait()
	for _, half := range [][]byte{got[:size], got[size:]} {
		if !bytes.Equal(half, bytes.Repeat(half[:1], size)) {
			t.Error("two writes have mixed")
		}
	}
}

// TestDeadlines checks that deadlines apply before and after the runtime's
// poller is used, in both directions, and their error is the one that net/http
// looks for.
func TestDeadlines(t *testing.T) {
	isTimeout := func(err error) bool {
		var timeout net.Error
		return errors.As(err, &timeout) && timeout.Timeout() && errors.Is(err, os.ErrDeadlineExceeded)
	}
	c, far := pair(t)
	past := time.Unix(1, 0)
	buf := make([]byte, 1)
	if err := c.SetDeadline(past); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(buf); !isTimeout(err) {
		t.Errorf("read: %v, want a timeout", err)
	}
	if _, err := c.Write(buf); !isTimeout(err) {
		t.Errorf("write: %v, want a timeout", err)
	}
	if err := c.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(buf); !isTimeout(err) || !c.waits() {
		t.Errorf("read: %v, waited %v; want a timeout, true", err, c.waits())
	}
	if _, err := c.Write(buf); !isTimeout(err) {
		t.Errorf("write: %v, want a timeout", err)
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(far, "x"); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(buf); n != 1 || err != nil {
		t.Errorf("without deadlines: read %d, %v, want 1", n, err)
	}
	time.AfterFunc(20*time.Millisecond, func() { _ = c.SetReadDeadline(past) })
	if _, err := c.Read(buf); !isTimeout(err) {
		t.Errorf("read that was under way: %v, want a timeout", err)
	}
}

// TestClosed checks that after Close everything fails, and a read in progress
// ends.
func TestClosed(t *testing.T) {
	for _, waiting := range []bool{false, true} {
		c, _ := pair(t)
		read := make(chan error, 1)
		if waiting {
			go func() {
				_, err := c.Read(make([]byte, 1))
				read <- err
			}()
			for !c.waits() {
				runtime.Gosched()
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if !waiting {
			_, err := c.Read(make([]byte, 1))
			read <- err
		}
		_, writeErr := c.Write([]byte{0})
		for what, err := range map[string]error{"read": <-read, "write": writeErr, "close": c.Close(), "deadline": c.SetDeadline(time.Now()), "shut": c.CloseWrite()} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("waiting %v: %s: %v, want %v", waiting, what, err, net.ErrClosed)
			}
		}
		if _, _, err := c.detach(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("detach: %v, want %v", err, net.ErrClosed)
		}
	}
}

// TestUnread checks that unread bytes are read again, before later ones.
func TestUnread(t *testing.T) {
	c, far := pair(t)
	c.Unread([]byte("cd"))
	c.Unread([]byte("ab"))
	if c.hasNoUnread() {
		t.Error("bare")
	}
	if _, ok := c.watch(new(Loop)); ok {
		t.Error("watched")
	}
	if _, err := io.WriteString(far, "ef"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 6)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "abcdef" {
		t.Errorf("read %q, %v, want %q", got, err, "abcdef")
	}
	if !c.hasNoUnread() {
		t.Error("not bare")
	}
}

// TestDetach checks that the caller gets the socket, whether or not the
// runtime's poller was used.
func TestDetach(t *testing.T) {
	for _, waited := range []bool{false, true} {
		c, far := pair(t)
		if waited {
			c.mu.Lock()
			c.usePoller()
			c.mu.Unlock()
		}
		fd, by, err := c.detach()
		if err != nil || by != nil {
			t.Fatal(err, by)
		}
		if n, err := send(fd, []byte("on")); n != 2 || err != nil {
			t.Errorf("sent %d, %v, want 2", n, err)
		}
		got := make([]byte, 2)
		if _, err := io.ReadFull(far, got); err != nil {
			t.Error(err)
		}
		if _, err := c.Write(got); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after detach: %v, want %v", err, net.ErrClosed)
		}
		if _, err := recv(fd, got); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("nothing to receive: %v, want %v", err, unix.EAGAIN)
		}
		_ = unix.Close(int(fd))
	}
}

// TestDetachWithoutDescriptors checks that a connection still works after
// detach found no descriptor for the caller.
func TestDetachWithoutDescriptors(t *testing.T) {
	c, far := pair(t)
	c.mu.Lock()
	c.usePoller()
	c.mu.Unlock()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	_, _, err := c.detach()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	// With a limit of 0, even F_DUPFD's argument 0 exceeds it.
	if !errors.Is(err, unix.EMFILE) && !errors.Is(err, unix.EINVAL) {
		t.Fatalf("detach: %v, want %v or %v", err, unix.EMFILE, unix.EINVAL)
	}
	if _, err := io.WriteString(c, "on"); err != nil {
		t.Error(err)
	}
	got := make([]byte, 2)
	if _, err := io.ReadFull(far, got); err != nil || string(got) != "on" {
		t.Errorf("read %q, %v, want %q", got, err, "on")
	}
	fd, _, err := c.detach()
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(int(fd))
}

// TestWatched checks that a loop gets the events of a connection until a read
// or write has to wait.
func TestWatched(t *testing.T) {
	l := testLoop(t)
	c, far := pair(t)
	fd, ok := c.watch(l)
	if !ok || c.watcher() != l {
		t.Fatalf("Watch = %v, watched by %v, want true, by %v", ok, c.watcher(), l)
	}
	if err := l.poll.watch(fd, unix.EPOLL_CTL_ADD, 0); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.watch(l); ok {
		t.Error("watched twice")
	}
	if _, err := io.WriteString(far, "12"); err != nil {
		t.Fatal(err)
	}
	if n := receive(t, inBackground(l.poll.waitBlocking)); n != 1 || l.poll.events[0].Fd != fd {
		t.Fatalf("%d events, want 1, of the connection", n)
	}
	if n := l.poll.poll(); n != 0 {
		t.Fatalf("%d events, want none: it was reported already", n)
	}
	c.mu.Lock()
	c.usePoller()
	c.mu.Unlock()
	if _, err := io.WriteString(far, "3"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 3)); err != nil {
		t.Error(err)
	}
	if n := l.poll.poll(); n != 0 || c.watcher() != nil {
		t.Errorf("%d events, watched by %v, want none while somebody else waits", n, c.watcher())
	}
}

// TestShutdown checks that the reader of a connection gets EOF after Shutdown.
func TestShutdown(t *testing.T) {
	for _, waited := range []bool{false, true} {
		c, far := pair(t)
		if waited {
			c.mu.Lock()
			c.usePoller()
			c.mu.Unlock()
		}
		c.Shutdown()
		if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("read %d, %v, want 0, %v", n, err, io.EOF)
		}
		if n, err := far.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("the other end read %d, %v, want 0, %v", n, err, io.EOF)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		c.Shutdown()
	}
}

// A lease counts how often it was released.
type lease struct{ atomic.Int64 }

func (l *lease) Release() { l.Add(1) }

// TestLease checks that a lease is released once, with the descriptor.
func TestLease(t *testing.T) {
	for _, waited := range []bool{false, true} {
		c, _ := pair(t)
		var held lease
		c.Hold(&held)
		if waited {
			c.mu.Lock()
			c.usePoller()
			c.mu.Unlock()
		}
		if n := held.Load(); n != 0 {
			t.Errorf("released %d times before Close, want 0", n)
		}
		_, _ = c.Close(), c.Close()
		if n := held.Load(); n != 1 {
			t.Errorf("released %d times after Close, want 1", n)
		}
	}
}

// A connListener hands out Conns.
type connListener struct {
	net.Listener
	t *testing.T
}

func (l connListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return connFrom(l.t, conn.(*net.TCPConn)), nil
}

// TestServesHTTP checks that net/http can serve Conns.
func TestServesHTTP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	s := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			<-r.Context().Done()
			gone <- context.Cause(r.Context())
			return
		}
		_, _ = io.Copy(w, r.Body)
	})}
	served := make(chan error, 1)
	go func() { served <- s.Serve(connListener{l, t}) }()
	client := &http.Client{Transport: &http.Transport{}}
	url := "http://" + l.Addr().String()
	for range 3 { // on one connection
		resp, err := client.Post(url, "", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); string(body) != "hello" || err != nil {
			t.Errorf("read %q, %v, want %q", body, err, "hello")
		}
		_ = resp.Body.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/wait", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := client.Do(r); err == nil {
		_ = resp.Body.Close()
		t.Error("an answer")
	} else if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	client.CloseIdleConnections()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}
