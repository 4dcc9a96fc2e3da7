package wsconn

import (
	"bufio"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// handlerBuffer is the size of the buffers that Hijack hands out. net/http's
// are 4 KiB each; a library keeps them for as long as the socket lives, and
// this much holds a frame of 1 KiB with its head.
const handlerBuffer = 1152

// A Response is the http.ResponseWriter of a request whose connection the
// guard has taken from net/http, so that an open socket holds nothing of
// net/http's. A handler upgrades it by Hijack, as it would net/http's own, or
// answers in plain HTTP, after which the connection closes.
type Response struct {
	conn     *Conn
	header   http.Header
	status   int // 0 until WriteHeader
	hijacked bool
	later    bool
	hurried  bool

	unanswered func() // may be nil
	opener     Opener // nil once it was told, or nothing is to be told
}

// An Opener is told, once, that a handler opens the socket.
type Opener interface{ Open() }

// NewResponse answers on conn.
func NewResponse(conn *Conn) *Response {
	return &Response{conn: conn, header: make(http.Header, 4)}
}

// A Direct is an http.ResponseWriter of a handshake that net/http has not read.
// Whoever calls the handler keeps nothing of net/http's either, so that the
// handler need not have a goroutine of its own.
type Direct interface {
	http.ResponseWriter

	// Hurried reports whether the handler is called by an event loop, and must
	// not wait for anything.
	Hurried() bool
}

// AsDirect finds a Direct beneath w.
func AsDirect(w http.ResponseWriter) (Direct, bool) {
	for {
		switch at := w.(type) {
		case Direct:
			return at, true
		case interface{ Unwrap() http.ResponseWriter }:
			w = at.Unwrap()
		default:
			return nil, false
		}
	}
}

// Hurry says that the handler must not wait for anything.
func (r *Response) Hurry() { r.hurried = true }

// Hurried reports whether the handler must not wait for anything.
func (r *Response) Hurried() bool { return r.hurried }

// Header is the header that WriteHeader will send.
func (r *Response) Header() http.Header { return r.header }

// WriteHeader sends the head of the response. Informational statuses (RFC 9110
// section 15.2) other than 101 are not sent: a client may do without them.
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
	_, _ = r.write(appendHead(make([]byte, 0, 256), status, r.header)) // an error shows at the next write
}

// appendHead appends the head of a response (RFC 9112 sections 4 and 5). Line
// breaks in a value become spaces, as net/http writes them.
func appendHead(b []byte, status int, header http.Header) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	b = append(b, "\r\n"...)
	for _, name := range slices.Sorted(maps.Keys(header)) {
		if strings.ContainsAny(name, ": \r\n") {
			continue
		}
		for _, value := range header[name] {
			b = append(b, name...)
			b = append(b, ": "...)
			b = append(b, lineBreaks.Replace(value)...)
			b = append(b, "\r\n"...)
		}
	}
	return append(b, "\r\n"...)
}

var lineBreaks = strings.NewReplacer("\r", " ", "\n", " ")

// Write sends p as part of the body, which ends with the connection.
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

// write gives the peer Grace to take p: a hijack has cleared the deadlines of
// the server, and nothing else bounds what is sent before the socket is the
// handler's.
func (r *Response) write(p []byte) (int, error) {
	_ = r.conn.SetWriteDeadline(time.Now().Add(Grace))
	return r.conn.Write(p)
}

// Flush sends the head, as http.Flusher; the body is never held back.
func (r *Response) Flush() {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
}

// SetReadDeadline is for http.ResponseController.
func (r *Response) SetReadDeadline(t time.Time) error { return r.conn.SetReadDeadline(t) }

// Hijack hands the interposed connection to the handler's WebSocket library.
func (r *Response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if r.hijacked {
		return nil, nil, http.ErrHijacked
	}
	conn := r.Take()
	return conn, bufio.NewReadWriter(bufio.NewReaderSize(conn, handlerBuffer), bufio.NewWriterSize(conn, handlerBuffer)), nil
}

// Peer is the connection before Hijack, for who wants to know whether the peer
// is there yet.
func (r *Response) Peer() net.Conn { return r.conn }

// Hijacked reports whether the connection is the handler's.
func (r *Response) Hijacked() bool { return r.hijacked }

// Take is Hijack for who has no use for buffers.
func (r *Response) Take() net.Conn {
	r.opens()
	r.hijacked = true
	_ = r.conn.SetWriteDeadline(time.Time{})
	return r.conn
}

// Opener has o told before the handler answers with 101, or takes the
// connection.
func (r *Response) Opener(o Opener) { r.opener = o }

func (r *Response) opens() {
	if o := r.opener; o != nil {
		r.opener = nil
		o.Open()
	}
}

// Refuse says that a socket which w opens from now on only tells the client
// why it closes: no Opener is told. It does nothing without a Response
// beneath w.
func Refuse(w http.ResponseWriter) {
	for {
		switch at := w.(type) {
		case *Response:
			at.opener = nil
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = at.Unwrap()
		default:
			return
		}
	}
}

// Later says that the answer comes after the handler has returned, and maybe by
// another goroutine. Finish then does nothing, and Conclude is to be called.
func (r *Response) Later() { r.later = true }

// Unanswered has f called when the response is concluded without an answer; it
// may give one.
func (r *Response) Unanswered(f func()) { r.unanswered = f }

// Finish ends the response after the handler has returned: a hijacked
// connection is the handler's, and any other is closed once the client has
// read the answer.
func (r *Response) Finish() {
	switch {
	case r.later:
	case r.hurried:
		go r.Conclude()
	default:
		r.Conclude()
	}
}

// Cut closes the connection over an answer that is not whole; see [Conn.Cut].
func (r *Response) Cut() { r.conn.Cut() }

// Conclude is Finish for an answer that came later.
func (r *Response) Conclude() {
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
