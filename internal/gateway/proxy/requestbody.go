package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// A RequestBody is the body of a plain request, and records how reading it
// ended. Close does not close the server's body: Linger drains the rest after
// the handler has returned.
type RequestBody struct {
	body  io.ReadCloser // from the server
	http1 bool

	mu        sync.Mutex
	isReading bool  // Read was called
	closed    bool  // the handler has called Close
	err       error // the first error of a read; io.EOF if the body was read to its end
}

// NewRequestBody replaces the body of r with one that records how reading it
// ends. It returns nil if the request has no body.
func NewRequestBody(r *http.Request) *RequestBody {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	if b, ok := r.Body.(*RequestBody); ok {
		return b
	}
	b := &RequestBody{body: r.Body, http1: r.ProtoMajor == 1}
	r.Body = b
	return b
}

func (b *RequestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	b.isReading = true
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.read(p)
}

func (b *RequestBody) read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.err == nil {
			b.err = err
		}
	}
	return n, err
}

// Close ends the body for its readers. The server closes the original.
func (b *RequestBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// end returns how reading ended: nil if it has not ended, and io.EOF if the
// whole body was read. A nil b means that the request has no body.
func (b *RequestBody) end() error {
	if b == nil {
		return io.EOF
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// isBroken reports whether reading the body failed, which is the client's
// fault.
func (b *RequestBody) isBroken() bool {
	err := b.end()
	return err != nil && !errors.Is(err, io.EOF)
}

const (
	// lingerFor is how long a client may continue to send a body that is
	// discarded.
	lingerFor = time.Minute

	// LingerSilence is how long it may pause while it sends. lingerExpect
	// replaces it if the body was never read: the client may be waiting for 100
	// (Continue) and have sent nothing.
	LingerSilence = 2 * time.Second
	lingerExpect  = 250 * time.Millisecond
)

// Linger reads and discards the rest of a body after the answer, until the
// client has sent all of it. Many clients read the answer only after that. If
// the server closed the connection earlier, they would get a reset instead (RFC
// 9112 section 9.6).
//
// Over HTTP/2, the end of the answer tells the client to stop.
func (b *RequestBody) Linger(w http.ResponseWriter) {
	if b.end() != nil || !b.http1 {
		return
	}
	control := http.NewResponseController(w)
	if control.Flush() != nil {
		return
	}
	b.mu.Lock()
	silence := LingerSilence
	if !b.isReading {
		silence = lingerExpect
	}
	b.mu.Unlock()
	over := time.Now().Add(lingerFor)
	for p := make([]byte, 32<<10); time.Now().Before(over); silence = LingerSilence {
		_ = control.SetReadDeadline(time.Now().Add(silence))
		if _, err := b.read(p); err != nil {
			break
		}
	}
	_ = control.SetWriteDeadline(time.Now().Add(Patience)) // for the end of the answer
}
