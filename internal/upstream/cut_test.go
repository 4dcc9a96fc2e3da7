package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

var errGone = errors.New("the client has left")

// inPipe opens a socket over a pipe whose other end runs serve. It cancels the
// context of Open after the duration waits.
func inPipe(t *testing.T, waits time.Duration, serve func(net.Conn)) (*Socket, context.CancelCauseFunc, error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	near, far := net.Pipe()
	t.Cleanup(func() { _ = far.Close() })
	p := newPoolOf(t, Config{Addresses: []string{"http://app"}, Dial: func(context.Context) (net.Conn, error) { return near, nil }})
	go serve(far)
	timer := time.AfterFunc(waits, func() { cancel(errGone) })
	t.Cleanup(func() { timer.Stop() })
	s, err := p.Open(ctx, handshake(t))
	return s, cancel, err
}

func TestEndOfContextCutsHandshakeAtOnce(t *testing.T) {
	for _, ends := range []time.Duration{0, watchAfter / 2, 5 * watchAfter} {
		synctest.Test(t, func(t *testing.T) {
			started := time.Now()
			_, _, err := inPipe(t, ends, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
			if took := time.Since(started); !errors.Is(err, errGone) || took > max(ends, watchAfter) {
				t.Errorf("the context ended after %s: %v after %s", ends, err, took)
			}
		})
	}
}

func TestEndOfContextLeavesSocketThatIsOpen(t *testing.T) {
	for _, takes := range []time.Duration{0, 5 * watchAfter} {
		synctest.Test(t, func(t *testing.T) {
			s, cancel, err := inPipe(t, time.Hour, func(conn net.Conn) {
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
					t.Error(err)
				}
				time.Sleep(takes)
				_, _ = io.WriteString(conn, switching())
				_, _ = io.WriteString(conn, "hello")
			})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			cancel(errGone)
			synctest.Wait()
			if _, err := io.ReadFull(s, make([]byte, 5)); err != nil {
				t.Errorf("the socket that opened after %s: %v", takes, err)
			}
		})
	}
}
