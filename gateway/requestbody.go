package gateway

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// A requestBody is the body of a plain request as the server reads it. It
// records how reading ended. Close does not close the server's body: what is
// left of it when the handler returns is drained, see linger.
type requestBody struct {
	body  io.ReadCloser // the server's
	http1 bool

	mu     sync.Mutex
	begun  bool  // something asked for it
	closed bool  // the handler needs no more of it
	err    error // that of the last read; io.EOF when all of it was read
}

// newRequestBody replaces the body of r by one that is recorded. It returns
// nil for a request without a body.
func newRequestBody(r *http.Request) *requestBody {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	if b, ok := r.Body.(*requestBody); ok {
		return b
	}
	b := &requestBody{body: r.Body, http1: r.ProtoMajor == 1}
	r.Body = b
	return b
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	b.begun = true
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.read(p)
}

func (b *requestBody) read(p []byte) (int, error) {
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

func (b *requestBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// end returns how reading ended: nil if it has not, and io.EOF if all of the
// body was read. A nil b is no body.
func (b *requestBody) end() error {
	if b == nil {
		return io.EOF
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// isBroken reports whether the body could not be read to its end, which is the
// client's fault.
func (b *requestBody) isBroken() bool {
	err := b.end()
	return err != nil && !errors.Is(err, io.EOF)
}

const (
	// lingerFor is how long a client may go on sending a body that nobody wants.
	lingerFor = time.Minute

	// lingerSilence is how long it may be silent meanwhile, and lingerExpect is
	// that for a client that waits for 100 (Continue), and so mostly has sent
	// nothing.
	lingerSilence = 2 * time.Second
	lingerExpect  = 250 * time.Millisecond
)

// linger reads the rest of a body after the answer, until the client has sent
// all of it. Many clients read the answer only then. If the server closed the
// connection before, they would get a reset instead (RFC 9112 section 9.6).
//
// Over HTTP/2 the end of the answer tells the client to stop.
func (b *requestBody) linger(w http.ResponseWriter) {
	if b.end() != nil || !b.http1 {
		return
	}
	control := http.NewResponseController(w)
	if control.Flush() != nil {
		return
	}
	b.mu.Lock()
	silence := lingerSilence
	if !b.begun {
		silence = lingerExpect
	}
	b.mu.Unlock()
	over := time.Now().Add(lingerFor)
	for p := make([]byte, 32<<10); time.Now().Before(over); silence = lingerSilence {
		_ = control.SetReadDeadline(time.Now().Add(silence))
		if _, err := b.read(p); err != nil {
			break
		}
	}
	_ = control.SetWriteDeadline(time.Now().Add(patience)) // for the end of the answer
}
