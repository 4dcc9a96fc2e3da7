package wsconn

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// linger closes a connection that the handler has closed before the peer
// received everything: half-close, discard what the peer sends, close. Closing
// immediately with unread input would reset the connection, and the peer would
// lose the rest and the close frame.
func (c *Conn) linger() {
	defer c.release()
	c.writeMu.Lock() // a pending write has been woken
	_ = c.conn.SetWriteDeadline(time.Now().Add(Grace))
	err := CloseWrite(c.conn)
	c.writeMu.Unlock()
	c.readMu.Lock()   // a pending read has been woken
	c.readMu.Unlock() //nolint:staticcheck // A later one fails without reading.
	if err == nil {
		c.drain()
	}
	conn := c.conn
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = over.NetConn() // closing TLS could wait for the peer
	}
	_ = conn.Close()
}

// drain discards what the peer sends until the peer closes the connection,
// receives data too slowly, or End sets c.cut.
func (c *Conn) drain() {
	started := time.Now()
	deadline, sent := started.Add(Grace), int64(Unsent(c.conn))
	var progress Progress
	for {
		now := time.Now()
		c.endMu.Lock()
		cut := c.cut
		if !cut {
			_ = c.conn.SetReadDeadline(now.Add(min(Grace/ChecksPerGrace, deadline.Sub(now))))
		}
		c.endMu.Unlock()
		if cut || !now.Before(deadline) {
			return
		}
		if _, err := io.Copy(io.Discard, c.conn); !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		now = time.Now()
		unsent := Unsent(c.conn)
		if progress.Enough(sent-int64(unsent), now.Sub(started)) && unsent > 0 {
			deadline = earlier(now.Add(Grace), started.Add(MaxGrace))
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
