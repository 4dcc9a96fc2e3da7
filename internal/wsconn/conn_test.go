package wsconn

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"wsauth/internal/wsframe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errEnd = errors.New("the end")

const head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"

var bye = wsframe.AppendClose(nil, 3000, "token_expired")

// text returns a frame with a payload of n bytes.
func text(n int) []byte {
	return append([]byte{0x82, 126, byte(n >> 8), byte(n)}, make([]byte, n)...)
}

// A half is one end of a net.Pipe that can be half-closed.
type half struct {
	net.Conn
	shut chan struct{} // closed by CloseWrite
}

func (h half) CloseWrite() error { close(h.shut); return nil }

// A rig is a Conn whose peer records the bytes that it receives.
type rig struct {
	*Conn
	peer     net.Conn
	got      chan []byte // all bytes that the peer read, at the end of the stream
	released int
	canceled bool
	ended    chan struct{} // closed when the connection is closed
}

// newRig returns a rig whose peer closes the connection after the half-close,
// if polite is true.
func newRig(polite bool) *rig {
	server, client := net.Pipe()
	shut := make(chan struct{})
	g := &rig{peer: client, got: make(chan []byte, 1), ended: make(chan struct{})}
	g.Conn = New(half{server, shut}, func() {
		g.released++
		close(g.ended)
	})
	go func() {
		all, _ := io.ReadAll(client)
		g.got <- all
	}()
	if polite {
		go func() { <-shut; client.Close() }()
	}
	return g
}

func (g *rig) end() {
	g.End(errEnd, bye, func() { g.canceled = true })
}

// endAndWait calls End and waits until the connection is closed.
func (g *rig) endAndWait() {
	g.end()
	<-g.ended
}

// send writes as a handler does, and fails the test on an error.
func (g *rig) send(t *testing.T, p []byte) {
	t.Helper()
	if n, err := g.Write(p); err != nil || n != len(p) {
		t.Fatalf("Write = %d, %v; want %d", n, err, len(p))
	}
}

// check compares the bytes that the peer got, and checks the state after every
// end.
func (g *rig) check(t *testing.T, want ...[]byte) {
	t.Helper()
	<-g.ended
	if got, want := <-g.got, bytes.Join(want, nil); !bytes.Equal(got, want) {
		t.Errorf("the peer got %d bytes, ending in % x; want %d, ending in % x", len(got), tail(got), len(want), tail(want))
	}
	if g.released != 1 || !g.canceled {
		t.Errorf("released %d times, canceled %v", g.released, g.canceled)
	}
	if n, err := g.Write(text(1)); n != 0 || !errors.Is(err, errEnd) {
		t.Errorf("a late Write = %d, %v", n, err)
	}
	if n, err := g.Read(make([]byte, 1)); n != 0 || !errors.Is(err, errEnd) {
		t.Errorf("a late Read = %d, %v", n, err)
	}
	if err := g.Close(); err != nil {
		t.Errorf("a late Close: %v", err)
	}
}

func tail(p []byte) []byte { return p[max(0, len(p)-20):] }

func TestEndBetweenFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(true)
		g.send(t, []byte(head))
		g.send(t, text(300))
		g.end()
		g.check(t, []byte(head), text(300), bye)
	})
}

// TestReadWhileThePeerIsDrained checks that a handler that reads during an end
// does not wait for the peer to close the connection.
func TestReadWhileThePeerIsDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(false)
		g.send(t, []byte(head))
		started := time.Now()
		g.end()
		<-g.conn.(half).shut
		if !g.readMu.TryLock() {
			t.Fatal("a reader waits until the peer has hung up")
		}
		g.readMu.Unlock()
		if _, err := g.Read(make([]byte, 1)); !errors.Is(err, errEnd) || time.Since(started) > 0 {
			t.Errorf("Read: %v after %v", err, time.Since(started))
		}
		g.check(t, []byte(head), bye)
	})
}

// TestHeld checks that nothing passes in either direction while the connection
// is held, and nothing at all if it ends meanwhile.
func TestHeld(t *testing.T) {
	for _, ends := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(true)
			until := time.Now().Add(time.Second)
			g.send(t, []byte(head))
			g.HoldWhile(func() bool { return time.Now().Before(until) })
			go func() { _, _ = g.peer.Write([]byte("x")) }()
			read, wrote := make(chan error, 1), make(chan error, 1)
			go func() { _, err := g.Read(make([]byte, 1)); read <- err }()
			go func() { _, err := g.Write(text(5)); wrote <- err }()
			time.Sleep(time.Second - time.Millisecond)
			if len(read) > 0 || len(wrote) > 0 {
				t.Errorf("%d bytes were read, %d frames written while held", len(read), len(wrote))
			}
			if !ends {
				if r, w := <-read, <-wrote; r != nil || w != nil || time.Now().Before(until) {
					t.Errorf("read %v, wrote %v", r, w)
				}
				g.end()
				g.check(t, []byte(head), text(5), bye)
				return
			}
			g.end()
			if r, w := <-read, <-wrote; !errors.Is(r, errEnd) || !errors.Is(w, errEnd) {
				t.Errorf("read %v, wrote %v", r, w)
			}
			g.check(t, []byte(head), bye)
		})
	}
}

func TestEndInsideAFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(true)
		frame := text(300)
		g.send(t, []byte(head))
		g.send(t, frame[:2]) // not even a complete header
		g.end()
		synctest.Wait()
		g.send(t, frame[2:100])
		// The handler writes two more frames at once: the first byte after the
		// boundary is refused.
		n, err := g.Write(append(frame[100:len(frame):len(frame)], text(5)...))
		if n != len(frame)-100 || !errors.Is(err, errEnd) {
			t.Errorf("Write over the boundary = %d, %v; want %d", n, err, len(frame)-100)
		}
		g.check(t, []byte(head), frame, bye)
	})
}

func TestEndBeforeTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(true)
		g.end()
		synctest.Wait()
		g.send(t, []byte(head[:20]))
		g.send(t, []byte(head[20:]))
		g.check(t, []byte(head), bye)
	})
}

func TestEndOfAHandlerThatHangsInsideAFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(true)
		g.send(t, []byte(head))
		g.send(t, text(300)[:7])
		started := time.Now()
		g.endAndWait()
		if d := time.Since(started); d != Grace/2 {
			t.Errorf("the end took %v, want %v", d, Grace/2)
		}
		if got := <-g.got; !bytes.Equal(got, append([]byte(head), text(300)[:7]...)) {
			t.Errorf("a close frame inside a frame: % x", tail(got))
		}
		if !g.canceled || g.released != 1 {
			t.Errorf("canceled %v, released %d", g.canceled, g.released)
		}
	})
}

// TestEndOfAPeerThatDoesNotHangUp checks that the connection is closed after
// Grace (P11).
func TestEndOfAPeerThatDoesNotHangUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(false)
		g.send(t, []byte(head))
		started := time.Now()
		g.endAndWait()
		if d := time.Since(started); d != Grace {
			t.Errorf("the end took %v, want %v", d, Grace)
		}
		g.check(t, []byte(head), bye)
	})
}

// TestEndOfAPeerThatDoesNotRead checks that the end does not wait for a handler
// that is blocked in a write and so holds the lock. This test uses real time,
// because the clock of a bubble stands still while a goroutine waits for a
// lock.
func TestEndOfAPeerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	server, client := net.Pipe()
	shut := make(chan struct{})
	go func() { <-shut; client.Close() }()
	started := make(chan struct{})
	closed := make(chan struct{})
	c := New(firstWrite{half{server, shut}, started}, func() { close(closed) })
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write([]byte(head))
		wrote <- err
	}()
	<-started
	ended := time.Now()
	c.End(errEnd, bye, func() {})
	<-closed
	if d := time.Since(ended); d > Grace {
		t.Errorf("the end took %v", d)
	}
	if err := <-wrote; err == nil {
		t.Error("the blocked write succeeded")
	}
}

// A firstWrite reports when a write has started.
type firstWrite struct {
	half
	started chan struct{}
}

func (w firstWrite) Write(p []byte) (int, error) {
	close(w.started)
	return w.Conn.Write(p)
}

func TestEndWakesTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(false)
		g.send(t, []byte(head))
		read := make(chan error, 1)
		started := time.Now()
		go func() {
			_, err := g.Read(make([]byte, 1))
			read <- err
		}()
		synctest.Wait()
		g.end()
		if err := <-read; !errors.Is(err, errEnd) {
			t.Errorf("Read: %v", err)
		}
		if d := time.Since(started); d != 0 {
			t.Errorf("the reader was woken after %v", d)
		}
		// A handler cannot prolong the end.
		for _, set := range []func(time.Time) error{g.SetDeadline, g.SetReadDeadline, g.SetWriteDeadline} {
			if err := set(time.Now().Add(time.Hour)); err != nil {
				t.Error(err)
			}
		}
		if err := g.CloseWrite(); err != nil {
			t.Error(err)
		}
		g.check(t, []byte(head), bye)
	})
}

func TestEndAfterTheHandlersOwnCloseFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(true)
		own := wsframe.AppendClose(nil, 1000, "")
		g.send(t, []byte(head))
		g.send(t, own)
		g.end()
		g.check(t, []byte(head), own)
	})
}

// TestEndInsideTheHandlersOwnCloseFrame checks that the handler finishes its
// close frame, and no other follows.
func TestEndInsideTheHandlersOwnCloseFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(true)
		own := wsframe.AppendClose(nil, 1000, "goodbye")
		g.send(t, []byte(head))
		g.send(t, own[:3])
		g.end()
		synctest.Wait()
		g.send(t, own[3:])
		g.check(t, []byte(head), own)
	})
}

// TestCloseWriteDoesNotHoldUpTheEnd checks that the end does not wait for
// CloseWrite, which over TLS waits for a write that a slow peer blocks.
func TestCloseWriteDoesNotHoldUpTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		blocked := make(chan struct{})
		c := New(stuckHalf{server, blocked}, func() {})
		_, _ = c.Write([]byte(head))
		go func() { _ = c.CloseWrite() }()
		synctest.Wait()
		ended := false
		c.End(errEnd, bye, func() { ended = true })
		synctest.Wait()
		if !ended {
			t.Error("the end waits for CloseWrite")
		}
		close(blocked)
		client.Close()
	})
}

// A stuckHalf blocks in CloseWrite until it is released.
type stuckHalf struct {
	net.Conn
	let chan struct{}
}

func (s stuckHalf) CloseWrite() error { <-s.let; return nil }

// TestAnswersAreBounded checks that a peer that does not read can block a
// response before the upgrade for Grace at most. Later, writes of the handler
// have no deadline.
func TestAnswersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer client.Close()
		r := NewResponse(New(server, func() {}))
		started := time.Now()
		r.WriteHeader(http.StatusSwitchingProtocols)
		if d := time.Since(started); d != Grace {
			t.Errorf("the head was given up after %v, want %v", d, Grace)
		}
		conn, _, err := r.Hijack()
		if err != nil {
			t.Fatal(err)
		}
		wrote := make(chan error, 1)
		go func() {
			_, err := conn.Write([]byte("x"))
			wrote <- err
		}()
		time.Sleep(2 * Grace) // of the bubble's clock
		if _, err := client.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		if err := <-wrote; err != nil {
			t.Errorf("after the hijack: %v", err)
		}
	})
}

func TestEndOfAPlainAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(true)
		const answer = "HTTP/1.1 400 Bad Request\r\n\r\nbody"
		g.send(t, []byte(answer))
		g.end()
		g.check(t, []byte(answer))
	})
}

func TestTheHandlerClosesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(false)
		g.send(t, []byte(head))
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
		g.end() // no effect
		if got := <-g.got; string(got) != head {
			t.Errorf("the peer got %q", got)
		}
		if g.released != 1 || g.canceled {
			t.Errorf("released %d times, canceled %v", g.released, g.canceled)
		}
	})
}

// FuzzEnd checks that wherever in the handler's stream the end comes, and
// however the handler splits its writes, the peer reads whole frames in order,
// one close frame, and nothing more.
func FuzzEnd(f *testing.F) {
	f.Add([]byte{0, 10, 200}, uint16(3), uint8(7))
	f.Add([]byte{255, 1}, uint16(0), uint8(1))
	f.Add([]byte{40, 40, 40, 40}, uint16(500), uint8(100))
	f.Add([]byte{40, 255}, uint16(182), uint8(1))
	f.Fuzz(func(t *testing.T, sizes []byte, at uint16, cut uint8) {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(true)
			stream := []byte(head)
			ends := []int{len(stream)}
			closed := 0 // where the handler's own close frame ends
			for _, s := range sizes[:min(len(sizes), 10)] {
				if s == 255 {
					stream = wsframe.AppendClose(stream, 1000, "own")
					closed = len(stream)
					break
				}
				stream = append(stream, text(int(s)*3)...)
				ends = append(ends, len(stream))
			}
			ended := false
			for from := 0; from < len(stream); {
				if !ended && from >= int(at) {
					ended = true
					g.end()
					synctest.Wait()
				}
				to := min(from+int(cut)+1, len(stream))
				n, err := g.Write(stream[from:to])
				from += n
				if err != nil {
					break
				}
			}
			if !ended {
				g.end()
			}
			got := <-g.got
			if closed > 0 && len(got) == closed && bytes.Equal(got, stream) {
				return // the handler sent its own close frame, whole
			}
			rest, found := bytes.CutSuffix(got, bye)
			if !found {
				t.Fatalf("%d bytes without a close frame at the end", len(got))
			}
			if !bytes.HasPrefix(stream, rest) {
				t.Fatal("the peer got different bytes than the handler sent")
			}
			for _, end := range ends {
				if len(rest) == end {
					return
				}
			}
			t.Fatalf("the close frame is at %d, want one of the boundaries %v", len(rest), ends)
		})
	})
}

// A discard is a connection that discards writes.
type discard struct{ net.Conn }

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func TestWriteAllocatesNothing(t *testing.T) {
	c, frame := New(discard{}, func() {}), text(1024)
	_, _ = c.Write([]byte(head))
	if n := testing.AllocsPerRun(1000, func() { _, _ = c.Write(frame) }); n != 0 {
		t.Errorf("%v allocations per frame", n)
	}
}

// BenchmarkWrite1KiB measures the overhead of a 1 KiB frame. The underlying
// connection costs nothing here.
func BenchmarkWrite1KiB(b *testing.B) {
	c, frame := New(discard{}, func() {}), text(1024)
	_, _ = c.Write([]byte(head))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.Write(frame)
	}
}
