package relay

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"wsauth/internal/eventloop"
	"wsauth/internal/wsconn"
	"wsauth/internal/wsframe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestGrace checks that a tunnel has the same time to end as a guarded socket.
func TestGrace(t *testing.T) {
	if Grace != wsconn.Grace {
		t.Errorf("Grace = %v, wsconn has %v", Grace, wsconn.Grace)
	}
}

// A transport is a kind of relay and of the connections that it carries.
type transport struct {
	name     string
	portable bool
	pipe     bool          // in a bubble of package synctest
	grace    time.Duration // of the relay
	dial     func(t *testing.T) (near, far net.Conn)
	dialBack func(t *testing.T) (near, far net.Conn) // to the upstream; nil: dial

	// meet, if not nil, returns both connections, after r has waited for the
	// first bytes on them.
	meet func(t *testing.T, r *Relay) (client, far, upstream, farther net.Conn)
}

var transports = []transport{
	{name: "portable pipe", portable: true, pipe: true, grace: Grace, dial: pipes},
	{name: "portable TCP", portable: true, grace: Grace, dial: tcp},
	{name: "portable TLS", portable: true, grace: Grace, dial: overTLS, dialBack: tcp},
	{name: "loop TCP", grace: Grace, dial: tcp},
	{name: "loop Unix", grace: Grace, dial: tcp, dialBack: unixSocket},
}

// shortGrace is the grace period of tests that wait for its end.
const shortGrace = 400 * time.Millisecond

// withShortGrace returns w with a short grace period, for tests that wait for
// its end. In other tests, a busy machine must not exceed it.
func (w transport) withShortGrace() transport {
	if !w.pipe {
		w.grace = shortGrace
	}
	return w
}

// eachTransport runs a test over every transport.
func eachTransport(t *testing.T, test func(t *testing.T, w transport)) {
	for _, w := range transports {
		t.Run(w.name, func(t *testing.T) {
			if w.pipe {
				inBubble(t, func(t *testing.T) { test(t, w) })
				return
			}
			before := descriptors(t)
			t.Run("sockets", func(t *testing.T) { test(t, w) }) // so that its cleanup runs before the check
			if after := descriptors(t); after != before {
				t.Errorf("%d descriptors are open, %d before", after, before)
			}
		})
	}
}

// rigs counts the rigs of all tests.
var rigs atomic.Int64

// inBubble runs test in a bubble of package synctest. Time there stands still
// while a goroutine is busy, so a goroutine that never stops would hang the
// test: inBubble panics when no rig was created for the duration of patience.
func inBubble(t *testing.T, test func(t *testing.T)) {
	var watch *time.Timer
	made, looks := rigs.Load(), 0
	watch = time.AfterFunc(time.Second, func() { // counts wake-ups, not time: this process may have been stopped
		looks++
		if n := rigs.Load(); n != made {
			made, looks = n, 0
		}
		if looks >= int(patience/time.Second) {
			panic(t.Name() + ": a goroutine never blocks")
		}
		watch.Reset(time.Second)
	})
	defer watch.Stop()
	synctest.Test(t, test)
}

// descriptors returns how many files this process has open.
func descriptors(t *testing.T) int {
	files, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, os.ErrNotExist) {
		return 0 // another system
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// tcp returns a connection with small buffers.
func tcp(t *testing.T) (near, far net.Conn) {
	return dialed(t, "tcp", "127.0.0.1:0")
}

func unixSocket(t *testing.T) (near, far net.Conn) {
	return dialed(t, "unix", filepath.Join(t.TempDir(), "s"))
}

func dialed(t *testing.T, network, address string) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if far, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if near, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{near, far} {
		small := c.(interface {
			SetReadBuffer(int) error
			SetWriteBuffer(int) error
		})
		if err := errors.Join(small.SetReadBuffer(1<<17), small.SetWriteBuffer(1<<17)); err != nil {
			t.Fatal(err)
		}
	}
	return near, far
}

func overTLS(t *testing.T) (near, far net.Conn) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS() // for its certificate
	config := s.TLS.Clone()
	s.Close()
	near, far = tcp(t)
	server, peer := tls.Server(near, config), tls.Client(far, &tls.Config{InsecureSkipVerify: true})
	shaken := make(chan error)
	go func() { shaken <- server.Handshake() }()
	if err := errors.Join(peer.Handshake(), receive(t, shaken)); err != nil {
		t.Fatal(err)
	}
	return server, peer
}

// A pipe is a connection in memory that can be half-closed or reset.
type pipe struct {
	net.Conn // for reads
	out      net.Conn
	reset    *atomic.Bool // of both ends
}

func pipes(*testing.T) (near, far net.Conn) {
	a, b := net.Pipe()
	c, d := net.Pipe()
	var reset atomic.Bool
	return pipe{a, d, &reset}, pipe{c, b, &reset}
}

var errReset = errors.New("reset")

func (p pipe) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if err != nil && p.reset.Load() {
		err = errReset
	}
	return n, err
}
func (p pipe) Write(b []byte) (int, error)         { return p.out.Write(b) }
func (p pipe) CloseWrite() error                   { return p.out.Close() }
func (p pipe) Close() error                        { return errors.Join(p.Conn.Close(), p.out.Close()) }
func (p pipe) SetWriteDeadline(at time.Time) error { return p.out.SetWriteDeadline(at) }
func (p pipe) SetDeadline(at time.Time) error {
	return errors.Join(p.Conn.SetDeadline(at), p.out.SetDeadline(at))
}

// A peer is the far end of a connection.
type peer struct {
	net.Conn
	t    *testing.T
	name string
}

func (p peer) send(b ...[]byte) {
	p.t.Helper()
	if _, err := p.Write(bytes.Join(b, nil)); err != nil {
		p.t.Errorf("%s: Write: %v", p.name, err)
	}
}

// tooMuch exceeds the size of all buffers between the two sides.
const tooMuch = 16 << 20

// flood sends f repeatedly, until a write fails or it sent tooMuch. It returns
// how many bytes it sent.
func (p peer) flood(f []byte) (sent int) {
	for sent < tooMuch {
		n, err := p.Write(f)
		sent += n
		if err != nil {
			break
		}
	}
	return sent
}

// Read fails if nothing comes in time.
func (p peer) Read(b []byte) (int, error) {
	_ = p.SetReadDeadline(time.Now().Add(patienceFor(p.t)))
	return p.Conn.Read(b)
}

// Write fails if the bytes are not taken in time.
func (p peer) Write(b []byte) (int, error) {
	_ = p.SetWriteDeadline(time.Now().Add(patienceFor(p.t)))
	return p.Conn.Write(b)
}

// wantGets fails the test unless the next bytes are b.
func (p peer) wantGets(b ...[]byte) {
	p.t.Helper()
	want := bytes.Join(b, nil)
	got := make([]byte, len(want))
	n, err := io.ReadFull(p, got)
	if err != nil || !bytes.Equal(got, want) {
		p.t.Errorf("%s got %s, %v; want %s", p.name, brief(got[:n]), err, brief(want))
	}
}

// wantEnd fails the test unless the stream ends here.
func (p peer) wantEnd() {
	p.t.Helper()
	if rest, err := io.ReadAll(p); len(rest) > 0 || err != nil {
		p.t.Errorf("%s got %s, %v; want the end", p.name, brief(rest), err)
	}
}

// wantCut fails the test unless the stream ends or is reset here.
func (p peer) wantCut() {
	p.t.Helper()
	if rest, err := io.ReadAll(p); len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Errorf("%s got %s, %v; want the end or a reset", p.name, brief(rest), err)
	}
}

func (p peer) hangUp() { _ = p.Close() }

func (p peer) closeWrite() {
	if err := wsconn.CloseWrite(p.Conn); err != nil {
		p.t.Error(err)
	}
}

// reset resets the connection.
func (p peer) reset() {
	switch c := p.Conn.(type) {
	case pipe:
		c.reset.Store(true)
	case *tls.Conn:
		_ = c.NetConn().(*net.TCPConn).SetLinger(0)
		_ = c.NetConn().Close()
	case *net.TCPConn:
		_ = c.SetLinger(0)
	}
	_ = p.Close()
}

func brief(b []byte) string {
	if len(b) > 24 {
		return fmt.Sprintf("%d bytes, % x … % x", len(b), b[:8], b[len(b)-12:])
	}
	return fmt.Sprintf("% x", b)
}

// A rig is a tunnel and the peers at its ends.
type rig struct {
	*Tunnel
	t                *testing.T
	client, upstream peer
	results          chan Result
	faults           chan string
}

// newRig carries p over w, which provides the connections.
func newRig(t *testing.T, w transport, p Pair) *rig {
	t.Helper()
	r := newRelay(t, w.grace, eventloop.Options{Loops: 1, Portable: w.portable})
	return rigOf(t, r, w, p)
}

func rigOf(t *testing.T, r *Relay, w transport, p Pair) *rig {
	t.Helper()
	g := &rig{t: t, results: make(chan Result, 2), faults: make(chan string, 2)}
	var far, farther net.Conn
	switch {
	case w.meet != nil:
		p.Client, far, p.Upstream, farther = w.meet(t, r)
	case w.dialBack != nil:
		p.Client, far = w.dial(t)
		p.Upstream, farther = w.dialBack(t)
	default:
		p.Client, far = w.dial(t)
		p.Upstream, farther = w.dial(t)
	}
	g.client, g.upstream = peer{far, t, "the client"}, peer{farther, t, "the upstream"}
	rigs.Add(1)
	t.Cleanup(func() {
		g.client.hangUp()
		g.upstream.hangUp()
	})
	p.Closed = func(res Result) { g.results <- res }
	if p.Fault == nil {
		p.Fault = func(code int, reason, _ string) { g.faults <- fmt.Sprint(code, " ", reason) }
	}
	g.Tunnel = r.Carry(p)
	if _, pumped := g.driver.(*pumpDriver); pumped != (w.portable || runtime.GOOS != "linux") {
		t.Errorf("the driver is a %T", g.driver)
	}
	return g
}

// patience is how long a test waits for one event. It allows for a busy
// machine.
const patience = 10 * time.Second

// patienceFor returns how long t may wait for one event: a day in a bubble,
// whose clock starts in 2000 and where waiting costs nothing. A test that has
// already failed hardly waits.
func patienceFor(t *testing.T) time.Duration {
	switch {
	case t.Failed():
		return 50 * time.Millisecond
	case time.Now().Year() == 2000:
		return 24 * time.Hour
	}
	return patience
}

// receive returns the next value of c, and fails the test if none comes.
func receive[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	limit := patienceFor(t)
	select {
	case v = <-c:
	case <-time.After(limit):
		t.Fatalf("nothing received within %v", limit)
	}
	return v
}

// until calls done until it returns true.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for start := time.Now(); !done(); runtime.Gosched() {
		if time.Since(start) > patience {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// newRelay returns a relay that is closed when the test ends.
func newRelay(t *testing.T, grace time.Duration, o eventloop.Options) *Relay {
	t.Helper()
	loops, err := eventloop.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r := New(loops)
	r.grace = grace
	t.Cleanup(func() { closeNow(t, r) })
	return r
}

// closeNow closes r, and fails the test if that takes too long.
func closeNow(t *testing.T, r *Relay) {
	t.Helper()
	closed := make(chan struct{})
	go func() {
		r.Close()
		close(closed)
	}()
	receive(t, closed)
}

// waitClosed waits until the tunnel is closed, and checks the result.
func (g *rig) waitClosed(by Party, reason string) Result {
	g.t.Helper()
	r := receive(g.t, g.results)
	if r.By != by || r.Reason != reason {
		g.t.Errorf("ended by the %v: %s; want the %v: %s", r.By, r.Reason, by, reason)
	}
	return r
}

// waitFault waits for a fault.
func (g *rig) waitFault(want string) {
	g.t.Helper()
	if got := receive(g.t, g.faults); got != want {
		g.t.Errorf("fault %q, want %q", got, want)
	}
}

// endAndWait ends the tunnel, and waits until the client's close frame is sent.
func (g *rig) endAndWait() {
	frameSent := make(chan struct{})
	g.End(endFrame, func() { close(frameSent) })
	receive(g.t, frameSent)
}

var endFrame = wsframe.AppendClose(nil, 3000, "token_expired")

// wantMasked fails the test unless the upstream gets frame, masked, next.
func (g *rig) wantMasked(frame []byte) {
	g.t.Helper()
	got := make([]byte, len(frame)+4)
	if _, err := io.ReadFull(g.upstream, got); err != nil {
		g.t.Errorf("the upstream got % x, %v", got, err)
		return
	}
	if want := wsframe.AppendMasked(nil, frame, [4]byte(got[2:])); !bytes.Equal(got, want) {
		g.t.Errorf("the upstream got % x, want % x", got, want)
	}
}

// frame returns a frame with n bytes of payload. Frames of a client are masked.
func frame(first byte, n int, mask bool) []byte {
	b := []byte{first}
	var m byte
	if mask {
		m = 0x80
	}
	switch {
	case n < 126:
		b = append(b, m|byte(n))
	case n < 1<<16:
		b = append(b, m|126, byte(n>>8), byte(n))
	default:
		b = append(b, m|127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	if mask {
		b = append(b, 1, 2, 3, 4)
	}
	if first == 0x88 && n >= 2 {
		return appendClose(b, n, 1000, mask)
	}
	for i := range n {
		b = append(b, byte(i*7+i>>8))
	}
	return b
}

// appendClose appends n bytes of payload to the head of a close frame.
func appendClose(b []byte, n, code int, mask bool) []byte {
	payload := append([]byte{byte(code >> 8), byte(code)}, bytes.Repeat([]byte("x"), n-2)...)
	for i, p := range payload {
		if mask {
			p ^= byte(i&3) + 1
		}
		b = append(b, p)
	}
	return b
}

// closeFrameWith returns a client's close frame with a code.
func closeFrameWith(code int) []byte {
	return appendClose([]byte{0x88, 0x82, 1, 2, 3, 4}, 2, code, true)
}

func fromClient(first byte, n int) []byte   { return frame(first, n, true) }
func fromUpstream(first byte, n int) []byte { return frame(first, n, false) }
