package gateway

import (
	"bufio"
	"net"
	"net/http"
	"time"

	"wsauth/internal/wsconn"
)

// An answer is the http.ResponseWriter of a handshake that net/http has not
// read. A guard hijacks its connection as it does that of net/http. A handler
// that does not, such as one that knows nothing of upgrades, answers in plain
// HTTP, and then the connection closes.
type answer struct {
	conn net.Conn
	// quick are the routes by which an event loop serves the handshake. A
	// goroutine serves it by the current ones; quick is nil then.
	quick *routing
	taken bool
	plain *wsconn.Response // nil until it is needed
}

// Hurried implements [wsconn.Direct].
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

// Header implements [http.ResponseWriter].
func (w *answer) Header() http.Header { return w.response().Header() }

// WriteHeader implements [http.ResponseWriter].
func (w *answer) WriteHeader(status int) {
	if !w.taken {
		w.response().WriteHeader(status)
	}
}

// Write implements [http.ResponseWriter].
func (w *answer) Write(p []byte) (int, error) {
	if w.taken {
		return 0, http.ErrHijacked
	}
	return w.response().Write(p)
}

// Flush implements [http.Flusher].
func (w *answer) Flush() {
	if !w.taken {
		w.response().Flush()
	}
}

// SetReadDeadline implements the method that [http.ResponseController] looks
// for.
func (w *answer) SetReadDeadline(t time.Time) error { return w.conn.SetReadDeadline(t) }

// Hijack implements [http.Hijacker]. It returns the bare connection, and
// nothing buffered: no bytes came after the handshake.
func (w *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.taken {
		return nil, nil, http.ErrHijacked
	}
	w.taken = true
	return w.conn, bufio.NewReadWriter(bufio.NewReaderSize(w.conn, 16), bufio.NewWriterSize(w.conn, 16)), nil
}

// finish completes a plain answer. It is called when the handler has returned.
func (w *answer) finish() {
	if !w.taken {
		w.response().Finish()
	}
}
