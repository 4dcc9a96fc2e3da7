package wsconn

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

const refusal = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"

// TestFinishLingers checks that a peer that does not close the connection has
// half a second to read a plain response. Bytes that it sends in this time are
// discarded.
func TestFinishLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(false)
		g.send(t, []byte(refusal))
		started := time.Now()
		go g.Finish()
		synctest.Wait()
		select {
		case <-g.conn.(half).shut:
		default:
			t.Error("the connection was not half-closed")
		}
		time.Sleep(500*time.Millisecond - time.Nanosecond)
		synctest.Wait()
		if _, err := g.peer.Write([]byte("still here")); err != nil {
			t.Errorf("before the time is over: %v", err)
		}
		<-g.ended
		if d := time.Since(started); d != 500*time.Millisecond {
			t.Errorf("closed after %v", d)
		}
		synctest.Wait()
		if _, err := g.peer.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("open after the end: %v", err)
		}
		g.wantFinished(t)
	})
}

// TestFinishOfAPeerThatHangsUp checks that Finish returns at once when the peer
// has closed the connection.
func TestFinishOfAPeerThatHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(true)
		g.send(t, []byte(refusal))
		started := time.Now()
		g.Finish()
		if d := time.Since(started); d != 0 {
			t.Errorf("closed after %v", d)
		}
		g.wantFinished(t)
	})
}

// TestFinishAfterTheEnd checks that Finish does not disturb a connection that
// is ending or closed.
func TestFinishAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(false)
		g.send(t, []byte(head))
		started := time.Now()
		g.end()
		g.Finish()
		<-g.ended
		if d := time.Since(started); d != Grace {
			t.Errorf("the end took %v, want %v", d, Grace)
		}
		g.check(t, []byte(head), bye)
	})
}

// TestEndBeforeAnAnswer checks that a handler that has sent nothing learns of
// the end at once, by its context and its reads. A response that it then sends
// arrives whole, with nothing after it.
func TestEndBeforeAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(true)
		read := make(chan error, 1)
		go func() {
			_, err := g.Read(make([]byte, 1))
			read <- err
		}()
		synctest.Wait()
		started := time.Now()
		g.end()
		synctest.Wait()
		if !g.canceled {
			t.Error("the handler was not notified")
		}
		select {
		case err := <-read:
			if !errors.Is(err, errEnd) {
				t.Error(err)
			}
		default:
			t.Error("the handler waits in Read")
		}
		g.send(t, []byte(refusal[:len(refusal)-2]))
		g.send(t, []byte(refusal[len(refusal)-2:]))
		g.Finish()
		g.check(t, []byte(refusal))
		if d := time.Since(started); d != 0 {
			t.Errorf("closed after %v", d)
		}
	})
}

// TestEndBeforeAnAnswerThatDoesNotEnd checks that the response is cut off when
// the handler's time is over.
func TestEndBeforeAnAnswerThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(true)
		started := time.Now()
		g.end()
		synctest.Wait()
		g.send(t, []byte(refusal))
		g.check(t, []byte(refusal))
		if d := time.Since(started); d != Grace/2 {
			t.Errorf("closed after %v", d)
		}
	})
}

// TestFinishBeforeTheEndHasBegun checks that Finish right after End still sends
// the close frame.
func TestFinishBeforeTheEndHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(true)
		g.send(t, []byte(head))
		g.end()
		g.Finish() // the goroutine of End may or may not have run
		g.check(t, []byte(head), bye)
	})
}

// wantFinished checks the state after Finish: only the response was sent, and
// the connection is closed.
func (g *rig) wantFinished(t *testing.T) {
	t.Helper()
	g.Finish()
	g.end()
	synctest.Wait()
	if got := <-g.got; string(got) != refusal {
		t.Errorf("the peer got %q", got)
	}
	if g.released != 1 || g.canceled {
		t.Errorf("released %d times, canceled %v", g.released, g.canceled)
	}
}
