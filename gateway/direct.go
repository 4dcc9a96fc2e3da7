package gateway

import (
	"bufio"
	"net"
	"net/http"
	"time"

	"wsauth/internal/wsconn"
)

// An answer is the http.ResponseWriter of a handshake that net/http has not read. A guard takes the connection from it as it does from
// net/http's; whoever does not, such as a handler that knows of no upgrade, answers in plain HTTP, after which the connection closes.
type answer struct {
	conn  net.Conn
	quick *routing // by which an event loop serves it; nil where a goroutine does, by what counts then
	taken bool
	plain *wsconn.Response // nil as long as nobody needs it
}

// Hurried is for wsconn.Direct.
func (w *answer) Hurried() bool { return w.quick != nil }

func (w *answer) response() *wsconn.Response {
	if w.plain == nil {
		w.plain = wsconn.NewResponse(wsconn.New(w.conn, func() {}))
		if w.Hurried() {
			w.plain.Hurry()
		}
	}
	return w.plain
}

// Header is that of a plain answer.
func (w *answer) Header() http.Header { return w.response().Header() }

// WriteHeader begins a plain answer.
func (w *answer) WriteHeader(status int) {
	if !w.taken {
		w.response().WriteHeader(status)
	}
}

// Write goes on with it.
func (w *answer) Write(p []byte) (int, error) {
	if w.taken {
		return 0, http.ErrHijacked
	}
	return w.response().Write(p)
}

// Flush is http.Flusher.
func (w *answer) Flush() {
	if !w.taken {
		w.response().Flush()
	}
}

// SetReadDeadline is for http.ResponseController.
func (w *answer) SetReadDeadline(t time.Time) error { return w.conn.SetReadDeadline(t) }

// Hijack gives the bare connection away. Nothing came behind the handshake.
func (w *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.taken {
		return nil, nil, http.ErrHijacked
	}
	w.taken = true
	return w.conn, bufio.NewReadWriter(bufio.NewReaderSize(w.conn, 16), bufio.NewWriterSize(w.conn, 16)), nil
}

// finish is the end of the handler.
func (w *answer) finish() {
	if !w.taken {
		w.response().Finish()
	}
}
