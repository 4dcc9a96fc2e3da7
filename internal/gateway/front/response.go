package front

import (
	"bufio"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"wsauth/internal/connlimit"
	"wsauth/internal/wsconn"
)

// A Handshake is a WebSocket handshake that an event loop has read as the
// first bytes of a connection, and the http.ResponseWriter of its response. A
// handler takes the connection with Hijack, as in net/http. Otherwise, its
// response is plain HTTP, and the connection is closed after it.
type Handshake struct {
	conn     net.Conn
	log      *slog.Logger
	idle     bool
	onLoop   bool
	hijacked bool
	plain    *wsconn.Response // nil until it is needed
}

// NewHandshake returns the Handshake of a connection whose first request has
// been read. idle reports whether the event loop that has read it has little
// else to do.
func (s *Server) NewHandshake(conn net.Conn, idle bool) *Handshake {
	return &Handshake{conn: conn, log: s.log, idle: idle}
}

// IsIdle reports whether the event loop that calls [Config.Handshake] has
// little else to do, so that it may serve the handshake itself.
func (h *Handshake) IsIdle() bool { return h.idle }

// SetOnLoop declares that the event loop serves the handshake: nothing may
// block.
func (h *Handshake) SetOnLoop() { h.onLoop = true }

// OnLoop implements [wsconn.HandshakeWriter].
func (h *Handshake) OnLoop() bool { return h.onLoop }

// Place returns the place of the connection; see [Server.Admit].
func (h *Handshake) Place() *connlimit.Place { return connlimit.Of(h.conn) }

func (h *Handshake) response() *wsconn.Response {
	if h.plain == nil {
		h.plain = wsconn.NewResponse(wsconn.New(h.conn, func() {}))
		if h.onLoop {
			h.plain.SetOnLoop()
		}
	}
	return h.plain
}

// Header implements [http.ResponseWriter].
func (h *Handshake) Header() http.Header { return h.response().Header() }

// WriteHeader implements [http.ResponseWriter].
func (h *Handshake) WriteHeader(status int) {
	if !h.hijacked {
		h.response().WriteHeader(status)
	}
}

// Write implements [http.ResponseWriter].
func (h *Handshake) Write(p []byte) (int, error) {
	if h.hijacked {
		return 0, http.ErrHijacked
	}
	return h.response().Write(p)
}

// Flush implements [http.Flusher].
func (h *Handshake) Flush() {
	if !h.hijacked {
		h.response().Flush()
	}
}

// SetReadDeadline implements the method that [http.ResponseController] looks
// for.
func (h *Handshake) SetReadDeadline(t time.Time) error { return h.conn.SetReadDeadline(t) }

// Hijack implements [http.Hijacker]. It returns the bare connection. Nothing is
// buffered, since no bytes followed the handshake.
func (h *Handshake) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if h.hijacked {
		return nil, nil, http.ErrHijacked
	}
	h.hijacked = true
	return h.conn, bufio.NewReadWriter(bufio.NewReaderSize(h.conn, 16), bufio.NewWriterSize(h.conn, 16)), nil
}

// Finish completes a plain response, and recovers from a panic of the handler
// as net/http does. The function that serves the handshake must defer it.
func (h *Handshake) Finish() {
	v := recover()
	if v != nil && v != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so.
		h.log.Error("panic serving a handshake", "panic", v, "stack", string(debug.Stack()))
	}
	switch {
	case h.hijacked:
	case v != nil:
		_ = h.conn.Close()
	default:
		h.response().Finish()
	}
}
