package wsconn

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// closedOver returns a Conn whose handler writes sent and closes it, without
// reading what the client has sent.
func closedOver(t *testing.T, sent []byte) (c *Conn, client net.Conn, closed chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	_ = client.SetDeadline(time.Now().Add(30 * time.Second))
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write([]byte("pong")); err != nil { // which the handler does not read
		t.Fatal(err)
	}
	closed = make(chan struct{})
	c = New(server, func() { close(closed) })
	go func() {
		_, _ = c.Write(sent)
		_ = c.Close()
	}()
	return c, client, closed
}

// TestG15_CloseOverUnreadInput checks that the client gets every byte that was
// sent before the handler closed, and then the end.
func TestG15_CloseOverUnreadInput(t *testing.T) {
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	c, client, closed := closedOver(t, sent)
	var got bytes.Buffer
	for {
		_, err := io.CopyN(&got, client, 1<<14)
		_, _ = client.Write([]byte("pong")) // fails if the connection is closed
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%d of %d bytes, %v", got.Len(), len(sent), err)
		}
		time.Sleep(time.Millisecond)
	}
	if !bytes.Equal(got.Bytes(), sent) {
		t.Errorf("%d bytes that are not the %d sent", got.Len(), len(sent))
	}
	_ = client.Close()
	<-closed
	if _, err := c.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write after Close: %v", err)
	}
}

// TestReadWhileItLingers checks that a handler that reads after Close does not
// wait for the client.
func TestReadWhileItLingers(t *testing.T) {
	c, client, closed := closedOver(t, make([]byte, 1<<20))
	for started := time.Now(); !c.lingers.Load(); time.Sleep(time.Millisecond) {
		if time.Since(started) > 20*time.Second {
			t.Fatal("the connection does not linger")
		}
	}
	read := make(chan error)
	go func() { _, err := c.Read(make([]byte, 1)); read <- err }()
	select {
	case err := <-read:
		if !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	case <-closed:
		t.Errorf("a reader waits until the client has everything: %v", <-read)
	}
	_ = client.Close()
	<-closed
}

// TestL4_EndCutsWhatLingers checks that End closes a lingering connection at
// once.
func TestL4_EndCutsWhatLingers(t *testing.T) {
	c, client, closed := closedOver(t, make([]byte, 1<<16))
	if _, err := io.ReadFull(client, make([]byte, 1<<10)); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	for !c.lingers.Load() && Unsent(c.conn) > 0 {
		time.Sleep(time.Millisecond)
	}
	c.End(net.ErrClosed, nil, func() {})
	_ = c.Close()
	<-closed
	if took := time.Since(started); took >= Grace {
		t.Errorf("closed after %v", took)
	}
}

// TestCloseAfterReset checks that a connection that the peer has reset is
// closed at once, without checking how much is unsent.
func TestCloseAfterReset(t *testing.T) {
	for _, cause := range []error{syscall.ECONNRESET, io.EOF} {
		conn := &failingConn{cause: &net.OpError{Op: "read", Err: cause}}
		c := New(conn, func() {})
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, cause) {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if want := !errors.Is(cause, syscall.ECONNRESET); conn.asked != want {
			t.Errorf("after %v: asked for unsent bytes: %v, want %v", cause, conn.asked, want)
		}
	}
}

// A failingConn is a connection whose reads fail and that has nothing unsent.
type failingConn struct {
	net.Conn
	cause error
	asked bool
}

func (f *failingConn) Read([]byte) (int, error) { return 0, f.cause }
func (f *failingConn) Close() error             { return nil }

func (f *failingConn) Unsent() int {
	f.asked = true
	return 0
}
