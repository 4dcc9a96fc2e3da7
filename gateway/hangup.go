package gateway

import (
	"errors"
	"net"
	"os"
	"time"

	"wsauth"
)

// lookAfter is how long an upstream may take to answer a handshake before the
// gateway looks whether the client is still there.
const lookAfter = time.Second

// A watch ends the socket of a client that hangs up while the upstream is
// asked for it: the answer is no longer wanted.
type watch struct {
	conn  net.Conn
	timer *time.Timer
	quiet bool // it will not read
	done  chan struct{}
	early []byte
}

// watchClient begins to watch after lookAfter. It reads from conn, so nobody
// else may before idle has reported true or stop has returned.
func watchClient(conn net.Conn, socket *wsauth.Socket) *watch {
	w := &watch{conn: conn, done: make(chan struct{})}
	w.timer = time.AfterFunc(lookAfter, func() {
		defer close(w.done)
		one := make([]byte, 1)
		n, err := conn.Read(one)
		w.early = one[:n]
		if n == 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
			socket.End(&wsauth.EndError{Code: 1000, Reason: "closed", Err: err})
		}
	})
	return w
}

// idle reports whether it has not begun to watch. It will not then.
func (w *watch) idle() bool {
	w.quiet = w.quiet || w.timer.Stop()
	return w.quiet
}

// stop ends the watch, and returns what the client was seen to send, which it
// must not do before its 101 (RFC 6455 section 4.1).
func (w *watch) stop() (early []byte) {
	if w.idle() {
		return nil
	}
	_ = w.conn.SetReadDeadline(time.Unix(1, 0))
	<-w.done
	_ = w.conn.SetReadDeadline(time.Time{})
	return w.early
}
