package wsconn

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"testing/synctest"
)

// An heir takes over a connection.
type heir struct {
	conn   net.Conn
	closed func()
	frames [][]byte
}

func (h *heir) End(frame []byte, said func()) {
	h.frames = append(h.frames, frame)
	said()
}

// TestHandover checks that after Handover the connection belongs to the new
// owner, which also gets the call of End.
func TestHandover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(false)
		g.send(t, []byte(head))
		h := &heir{}
		take := func(bare net.Conn, closed func()) Ender {
			h.conn, h.closed = bare, closed
			return h
		}
		if !g.Handover(take) {
			t.Fatal("not handed over")
		}
		if g.Handover(take) {
			t.Error("handed over twice")
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		g.Finish()
		if _, err := g.Write(text(3)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the handler writes on: %v", err)
		}
		if _, err := g.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the handler reads on: %v", err)
		}
		if _, err := h.conn.Write(text(3)); err != nil {
			t.Fatalf("the connection is not the heir's: %v", err)
		}
		g.end()
		synctest.Wait()
		if len(h.frames) != 1 || !bytes.Equal(h.frames[0], bye) || !g.canceled {
			t.Errorf("got frames %q, canceled %v", h.frames, g.canceled)
		}
		if g.released != 0 {
			t.Error("released before Close")
		}
		_ = h.conn.Close()
		h.closed()
		if got := <-g.got; !bytes.Equal(got, append([]byte(head), text(3)...)) {
			t.Errorf("the peer got %q", got)
		}
		if g.released != 1 {
			t.Errorf("released %d times", g.released)
		}
	})
}

// TestHandoverTooLate checks that a connection that is ending is not handed
// over.
func TestHandoverTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(true)
		g.send(t, []byte(head))
		g.end()
		if g.Handover(func(net.Conn, func()) Ender { t.Error("taken"); return nil }) {
			t.Error("handed over")
		}
		g.check(t, []byte(head), bye)
	})
}
