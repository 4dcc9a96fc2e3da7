package wsconn

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// handlerBuffer is the size of the buffers returned by Hijack. Those of
// net/http have 4 KiB each. Libraries keep them as long as the socket is open,
// and this size is sufficient for a frame of 1 KiB.
const handlerBuffer = 1152

// A Response is the http.ResponseWriter for a request whose connection the
// guard has hijacked from net/http, so that an open socket keeps no memory of
// net/http. A handler upgrades it with Hijack, like net/http's own, or sends a
// plain HTTP response, after which the connection is closed.
type Response struct {
	conn     *Conn
	header   http.Header
	status   int // 0 until WriteHeader
	hijacked bool
	early    bool // see IsEarly
	netHTTP  bool // the handler is called in a goroutine of net/http
	onLoop   bool

	unanswered func() // may be nil
	owner      Owner  // nil after it was notified that the socket opens
}

// NewResponse returns a Response on conn.
func NewResponse(conn *Conn) *Response {
	return &Response{conn: conn, header: make(http.Header, 4)}
}

// Accept takes the connection of a handshake from the server of w, and attaches
// the Owner that admit returns. If either fails, Accept calls refuse with the
// error, and returns nil. The handler's reads and writes block while held
// returns true.
func Accept[O Owner](w http.ResponseWriter, held func() bool, admit func(*Response) (O, error), refuse func(http.ResponseWriter, error)) (r *Response, owner O) {
	r, err := take(w, held)
	if err != nil {
		refuse(w, err)
		return nil, owner
	}
	if owner, err = admit(r); err != nil {
		refuse(r, err)
		go r.Finish()
		return nil, owner
	}
	r.Attach(owner)
	return r, owner
}

// take hijacks the connection of a handshake, and returns a Response on it.
func take(w http.ResponseWriter, held func() bool) (*Response, error) {
	raw, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("cannot take over the connection: %w; is this HTTP/2, or does a middleware in front of the guard hide http.Hijacker?", err)
	}
	conn := &Conn{conn: raw}
	conn.HoldWhile(held)
	r := NewResponse(conn)
	r.early = buffered.Reader.Buffered() > 0
	if h, ok := asHandshakeWriter(w); ok {
		r.onLoop = h.OnLoop()
	} else {
		r.netHTTP = true
	}
	return r, nil
}

// IsEarly reports whether the client sent data after the handshake. Clients
// wait for the answer before they send (RFC 6455 section 4.1); earlier data may
// be a request that a proxy in front mistook for a part of this one.
func (r *Response) IsEarly() bool { return r.early }

// NeedsGoroutine reports whether the handler should run in a goroutine of its
// own, because the current one belongs to net/http: its stack and buffers would
// be kept as long as the socket is open.
func (r *Response) NeedsGoroutine() bool { return r.netHTTP }

// Conn returns the connection. The handler must not use it before Hijack.
func (r *Response) Conn() *Conn { return r.conn }

// An Owner is notified when a socket opens and closes.
type Owner interface {
	Opened() // the handler sends a 101, or takes the connection
	Closed() // the connection is closed
}

// Attach sets the Owner, which is notified once of each event, and immediately
// if the connection is already closed.
func (r *Response) Attach(o Owner) {
	r.owner = o
	r.conn.own(o)
}

// A HandshakeWriter is an http.ResponseWriter for a handshake that was not read
// by net/http.
type HandshakeWriter interface {
	http.ResponseWriter

	// OnLoop reports whether an event loop calls the handler, which then must
	// not block.
	OnLoop() bool
}

// asHandshakeWriter returns the HandshakeWriter that w wraps.
func asHandshakeWriter(w http.ResponseWriter) (HandshakeWriter, bool) {
	for {
		switch at := w.(type) {
		case HandshakeWriter:
			return at, true
		case interface{ Unwrap() http.ResponseWriter }:
			w = at.Unwrap()
		default:
			return nil, false
		}
	}
}

// SetOnLoop declares that an event loop calls the handler, which must not
// block.
func (r *Response) SetOnLoop() { r.onLoop = true }

// OnLoop reports whether an event loop calls the handler.
func (r *Response) OnLoop() bool { return r.onLoop }

// Header returns the header that WriteHeader will send.
func (r *Response) Header() http.Header { return r.header }

// WriteHeader sends the header of the response. Informational responses (RFC
// 9110 section 15.2) other than 101 are not sent; clients do not need them.
func (r *Response) WriteHeader(status int) {
	upgrade := status == http.StatusSwitchingProtocols
	if r.hijacked || r.status != 0 || status < 200 && !upgrade {
		return
	}
	r.status = status
	if upgrade {
		r.opens()
	} else {
		r.header.Del("Transfer-Encoding")
		r.header.Set("Connection", "close")
		if r.header.Get("Date") == "" {
			r.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		}
	}
	room := heads.Get().(*[512]byte)
	defer heads.Put(room)
	// An error is reported by the next write.
	_, _ = r.write(appendHead(room[:0], status, r.header))
}

// heads holds memory for the header of a response.
var heads = sync.Pool{New: func() any { return new([512]byte) }}

// appendHead appends the header of a response (RFC 9112 sections 4 and 5). Line
// breaks in values are replaced by spaces, as in net/http.
func appendHead(b []byte, status int, header http.Header) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	b = append(b, "\r\n"...)
	var room [16]string // so that few names need no allocation
	names := room[:0]
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.ContainsAny(name, ": \r\n") {
			continue
		}
		for _, value := range header[name] {
			b = append(b, name...)
			b = append(b, ": "...)
			for _, c := range []byte(value) {
				if c == '\r' || c == '\n' {
					c = ' '
				}
				b = append(b, c)
			}
			b = append(b, "\r\n"...)
		}
	}
	return append(b, "\r\n"...)
}

// Write sends p as part of the body, which ends when the connection is closed.
func (r *Response) Write(p []byte) (int, error) {
	if r.hijacked {
		return 0, http.ErrHijacked
	}
	if r.status == 0 {
		if r.header.Get("Content-Type") == "" {
			r.header.Set("Content-Type", http.DetectContentType(p))
		}
		r.WriteHeader(http.StatusOK)
	}
	if r.status == http.StatusSwitchingProtocols || r.status == http.StatusNoContent || r.status == http.StatusNotModified {
		return 0, http.ErrBodyNotAllowed
	}
	return r.write(p)
}

// write writes p with a deadline: hijacking has cleared the deadlines of the
// server, so nothing else limits a response before the handler owns the
// socket.
func (r *Response) write(p []byte) (int, error) {
	_ = r.conn.SetWriteDeadline(time.Now().Add(Grace))
	return r.conn.Write(p)
}

// Flush implements http.Flusher. It sends the header; the body is never
// buffered.
func (r *Response) Flush() {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
}

// SetReadDeadline implements the interface of http.ResponseController.
func (r *Response) SetReadDeadline(t time.Time) error { return r.conn.SetReadDeadline(t) }

// Hijack returns the wrapped connection for the handler's WebSocket library.
func (r *Response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if r.hijacked {
		return nil, nil, http.ErrHijacked
	}
	conn := r.Take()
	b := new(buffers)
	b.reader = *bufio.NewReaderSize(conn, handlerBuffer)
	b.writer = *bufio.NewWriterSize(conn, handlerBuffer)
	b.both = bufio.ReadWriter{Reader: &b.reader, Writer: &b.writer}
	return conn, &b.both, nil
}

// buffers are a bufio.ReadWriter in one piece of memory.
type buffers struct {
	both   bufio.ReadWriter
	reader bufio.Reader
	writer bufio.Writer
}

// Hijacked reports whether the handler owns the connection.
func (r *Response) Hijacked() bool { return r.hijacked }

// Take is like Hijack, but returns no buffers.
func (r *Response) Take() *Conn {
	r.opens()
	r.hijacked = true
	_ = r.conn.SetWriteDeadline(time.Time{})
	return r.conn
}

func (r *Response) opens() {
	if o := r.owner; o != nil {
		r.owner = nil
		o.Opened()
	}
}

// Refuse declares that w opens a socket, if at all, only to close it with a
// reason. The Owner is not notified that it opens. Refuse does nothing if w
// does not wrap a Response.
func Refuse(w http.ResponseWriter) {
	for {
		switch at := w.(type) {
		case *Response:
			at.owner = nil
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = at.Unwrap()
		default:
			return
		}
	}
}

// Unanswered sets a function that is called if the handler has returned without
// sending a response. The function may send one.
func (r *Response) Unanswered(f func()) { r.unanswered = f }

// Finish ends the response after the handler has returned. If the connection
// was hijacked, it belongs to the handler; otherwise it is closed after the
// client has had time to read the response.
func (r *Response) Finish() {
	if r.onLoop {
		go r.finish()
		return
	}
	r.finish()
}

func (r *Response) finish() {
	if r.hijacked {
		return
	}
	Refuse(r)
	if r.status == 0 && r.unanswered != nil {
		r.unanswered()
	}
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	r.conn.Finish()
}

// Cut closes the connection after an incomplete response; see [Conn.Cut].
func (r *Response) Cut() { r.conn.Cut() }
