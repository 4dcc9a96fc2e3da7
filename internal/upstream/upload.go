package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// errStalled is the cause with which an upload is canceled if the server stops
// reading it and does not answer.
var errStalled = errors.New("the upstream stopped reading the request's body")

// smallUpload is the maximum length of a body after which a connection is
// reused. If a body is longer, the server may answer before it has read
// everything, and then close the connection. By then http.Transport may have
// sent the next request on the same connection, and may not be able to repeat
// it.
const smallUpload = 64 << 10

// An upload is an attempt to send a request with a body to one server.
//
// It provides the body to http.Transport until the transport closes it, which
// may be long after RoundTrip has returned: a server may answer before it has
// read the whole body. It also preserves the response of a server that closes
// the connection without reading the rest; see uploadConn.
type upload struct {
	body io.ReadCloser
	// Time for the server to accept the next part of the body.
	within time.Duration
	cancel context.CancelCauseFunc
	// Closed when the response has been read, or there is none.
	done <-chan struct{}

	mu       sync.Mutex
	stall    *time.Timer // nil before the first read of the body
	answered bool
	closed   bool // the transport no longer needs the body
	final    bool // no other server will get the body
}

// roundTripUpload sends a request with a body through t.transport.
func (t *target) roundTripUpload(r *http.Request) (*http.Response, error) {
	u := &upload{body: r.Body, within: t.config.Response}
	ctx, cancel := context.WithCancelCause(r.Context())
	u.cancel, u.done = cancel, ctx.Done()
	r = r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: u.gotConn}))
	r.Body = u
	// After a final response to Expect: 100-continue, http.Transport would
	// still request the body from the client, to be able to reuse the
	// connection.
	r.Close = len(r.Header["Expect"]) > 0 || t.tls == nil && (r.ContentLength < 0 || r.ContentLength > smallUpload)
	response, err := t.transport.RoundTrip(r)
	u.returned(err)
	if err != nil {
		if errors.Is(context.Cause(ctx), errStalled) {
			err = fmt.Errorf("%w: %s: %w", ErrTimeout, t.address, errStalled)
		}
		cancel(nil)
		return nil, err
	}
	response.Body = &uploadAnswer{response.Body, u}
	return response, nil
}

// Read reads the body for the transport. Until the next call, the transport
// sends the data, and the server must take it within u.within.
func (u *upload) Read(p []byte) (int, error) {
	u.mu.Lock()
	if u.stall != nil {
		u.stall.Stop()
	}
	u.mu.Unlock()
	n, err := u.body.Read(p)
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case err != nil || u.answered || u.closed:
	case u.stall == nil:
		u.stall = time.AfterFunc(u.within, func() { u.cancel(errStalled) })
	default:
		u.stall.Reset(u.within)
	}
	return n, err
}

// Close implements [io.Closer]. The transport calls it when it no longer needs
// the body.
func (u *upload) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	if u.stall != nil {
		u.stall.Stop()
	}
	if u.final {
		return u.body.Close()
	}
	return nil
}

// returned records that the transport's RoundTrip has returned err. If the
// server was not reached, the body stays open for the next one.
func (u *upload) returned(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answered = true
	if u.stall != nil {
		u.stall.Stop()
	}
	u.final = !isUnsent(err)
	if u.final && u.closed {
		_ = u.body.Close()
	}
}

// gotConn assigns u to the connection on which the request is sent. It ignores
// HTTP/2 connections: they are shared with other requests, and servers end a
// stream without closing them.
func (u *upload) gotConn(info httptrace.GotConnInfo) {
	conn := info.Conn
	if secure, ok := conn.(*tls.Conn); ok {
		if secure.ConnectionState().NegotiatedProtocol == "h2" {
			return
		}
		conn = secure.NetConn()
	}
	if conn, ok := conn.(*uploadConn); ok {
		conn.upload.Store(u)
	}
}

// An uploadAnswer is the body of the response to an upload.
type uploadAnswer struct {
	io.ReadCloser
	of *upload
}

func (a *uploadAnswer) Close() error {
	err := a.ReadCloser.Close()
	a.of.cancel(nil)
	return err
}

// An uploadConn is a connection for plain requests.
//
// If a server answers without reading the body and closes the connection, the
// connection is reset. http.Transport gives up when a write fails, even if it
// could read a response. Therefore, if the connection is reset, Write waits
// until the response has been read or could not be read.
type uploadConn struct {
	net.Conn
	upload atomic.Pointer[upload] // the latest
	once   sync.Once
	closed chan struct{}

	release func() // called after it is closed
}

func newUploadConn(conn net.Conn, release func()) *uploadConn {
	return &uploadConn{Conn: conn, closed: make(chan struct{}), release: release}
}

func (c *uploadConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil && (errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)) {
		if u := c.upload.Load(); u != nil {
			select {
			case <-u.done:
			case <-c.closed:
			}
		}
	}
	return n, err
}

func (c *uploadConn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		close(c.closed)
		err = c.Conn.Close()
		c.release()
	})
	return err
}
