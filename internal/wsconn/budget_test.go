package wsconn

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestBudget checks that the handler gets exactly the bytes that the budget
// allows. The next byte ends the connection.
func TestBudget(t *testing.T) {
	for _, size := range []int{1, 7, 100, 1000} { // sizes of the handler's reads
		synctest.Test(t, func(t *testing.T) {
			g := newRig(false)
			g.send(t, []byte(head))
			notified := 0
			g.Limit(100, func() bool { return true }, func() { notified++; g.end() })
			go func() { _, _ = g.peer.Write(make([]byte, 300)) }()
			var got bytes.Buffer
			_, err := io.CopyBuffer(&got, struct{ io.Reader }{g}, make([]byte, size))
			if got.Len() != 100 || notified != 1 || !errors.Is(err, errEnd) {
				t.Errorf("got %d bytes, %d calls, %v", got.Len(), notified, err)
			}
			started := time.Now()
			g.check(t, []byte(head), bye)
			if d := time.Since(started); d != 0 {
				t.Errorf("drained bytes over the budget for %v", d)
			}
		})
	}
}

// TestBudgetLifted checks that bytes that arrive after the limit has ended do
// not count, even if a read was waiting before.
func TestBudgetLifted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(true)
		g.send(t, []byte(head))
		var lifted atomic.Bool
		g.Limit(10, func() bool { return !lifted.Load() }, func() { t.Error("called back for a budget that was lifted") })
		send := func(n int) {
			t.Helper()
			go func() { _, _ = g.peer.Write(make([]byte, n)) }()
			if n, err := io.ReadFull(g, make([]byte, n)); err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
		send(10)
		waiting := make(chan error)
		go func() {
			_, err := g.Read(make([]byte, 1))
			waiting <- err
		}()
		synctest.Wait()
		lifted.Store(true)
		_, _ = g.peer.Write([]byte{0})
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		send(1000)
		g.end()
		g.check(t, []byte(head), bye)
	})
}
