package proxy

import (
	"errors"
	"net"
	"os"
	"time"

	"wsauth"
)

// lookAfter is how long the gateway waits for an upstream to answer a
// handshake before it checks whether the client is still connected.
const lookAfter = time.Second

// A watch ends the socket of a client that disconnects while the upstream has
// not answered the handshake.
type watch struct {
	conn  net.Conn
	timer *time.Timer
	quiet bool // the timer was stopped in time: nothing is read
	done  chan struct{}
	early []byte
}

// watchClient starts a watch that reads from conn after lookAfter. Nothing
// else may read from conn until idle has returned true or stop has returned.
func watchClient(conn net.Conn, socket *wsauth.Socket) *watch {
	w := &watch{conn: conn, done: make(chan struct{})}
	w.timer = time.AfterFunc(lookAfter, func() {
		defer close(w.done)
		one := make([]byte, 1)
		n, err := conn.Read(one)
		w.early = one[:n]
		if n == 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
			socket.EndWith(&wsauth.EndError{Code: 1000, Reason: "closed", Err: err})
		}
	})
	return w
}

// idle reports whether the watch was stopped before it began to read from the
// client. It stops the watch if that is still possible.
func (w *watch) idle() bool {
	w.quiet = w.quiet || w.timer.Stop()
	return w.quiet
}

// stop ends the watch. It returns the bytes that the client sent, although it
// must not send any before the 101 (RFC 6455 section 4.1).
func (w *watch) stop() (early []byte) {
	if w.idle() {
		return nil
	}
	_ = w.conn.SetReadDeadline(time.Unix(1, 0))
	<-w.done
	_ = w.conn.SetReadDeadline(time.Time{})
	return w.early
}
