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

// errStalled is the cause of an upload that the server has stopped reading
// without answering it.
var errStalled = errors.New("the upstream takes no more of the request's body")

// smallUpload is the longest body after which a connection is used again. Of a
// longer one the server may have left something unread when it answers, and is
// about to close the connection: http.Transport would send the next request on
// it, and could not send that again.
const smallUpload = 64 << 10

// An upload is the attempt to send a request with a body to one server.
//
// It gives http.Transport the body until the transport closes it, which may be
// long after RoundTrip has returned: a server may answer before it has read
// everything. And it keeps the answer of a server that has hung up without
// reading the rest, see uploadConn.
type upload struct {
	body   io.ReadCloser
	within time.Duration // for the server to take the next part of the body
	cancel context.CancelCauseFunc
	done   <-chan struct{} // closed when the answer was read, or there is none

	mu       sync.Mutex
	stall    *time.Timer // nil until the body is read, and once it may take any time
	answered bool
	closed   bool // the transport needs the body no more
	final    bool // no other server gets the body
}

// roundTripUpload is http.Transport's RoundTrip for a request with a body.
func (t *target) roundTripUpload(r *http.Request) (*http.Response, error) {
	u := &upload{body: r.Body, within: t.config.Response}
	ctx, cancel := context.WithCancelCause(r.Context())
	u.cancel, u.done = cancel, ctx.Done()
	r = r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: u.gotConn}))
	r.Body = u
	// After a final answer to an Expect: 100-continue, http.Transport would still
	// ask the client for the body to use the connection again.
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

// Read reads the body for the transport. While the transport sends what it has
// read, the server must make progress.
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

// Close is called by the transport when it needs the body no more.
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

// gotConn is called with the connection that the request is sent on. One of
// HTTP/2 is shared with other requests, and its servers end a stream without
// closing it.
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

// An uploadAnswer is the body of the answer to an upload.
type uploadAnswer struct {
	io.ReadCloser
	of *upload
}

func (a *uploadAnswer) Close() error {
	err := a.ReadCloser.Close()
	a.of.cancel(nil)
	return err
}

// An uploadConn is a connection that plain requests are sent on.
//
// A server that answers without reading the body, and closes, resets the
// connection. http.Transport gives up at the first write that fails, even if
// the answer is there to be read. So a write of an upload that is reset waits
// until the answer was read, or could not be.
type uploadConn struct {
	net.Conn
	upload atomic.Pointer[upload] // the latest
	once   sync.Once
	closed chan struct{}

	release func() // called once it is closed
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
