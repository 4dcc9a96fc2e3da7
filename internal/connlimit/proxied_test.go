package connlimit

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"wsauth/internal/proxyproto"
)

type refusedPeer struct {
	peer string
	err  error
}

// listenProxied returns a listener for connections that begin with a PROXY
// header.
func listenProxied(t *testing.T, limiter *Limiter, network, address string, rules proxyproto.Rules) (l net.Listener, closed chan refusedPeer) {
	t.Helper()
	inner, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	closed = make(chan refusedPeer, 16)
	rules.Refused = func(peer net.Addr, err error) { closed <- refusedPeer{peer.String(), err} }
	if rules.Trusted == nil {
		rules.Trusted = func(net.Addr) bool { return true }
	}
	l = proxyproto.Listen(limiter.Listener(inner), rules)
	t.Cleanup(func() { _ = l.Close() })
	return l, closed
}

func dial(t *testing.T, l net.Listener, first string) net.Conn {
	t.Helper()
	conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, first); err != nil {
		t.Fatal(err)
	}
	return conn
}

const header = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"

// TestProxied checks that no connection waits for another's header. After its
// own header, a connection has the client's address and returns every following
// byte.
func TestProxied(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "s")
			}
			limiter := New(Limits{Connections: 20, PerAddress: 20}, nil)
			limiter.Exempt(func(peer net.Addr) bool { return peer.Network() == "unix" })
			l, closed := listenProxied(t, limiter, network, address, proxyproto.Rules{Timeout: time.Minute})
			for range 9 {
				dial(t, l, header[:12]) // and then nothing
			}
			far := dial(t, l, header+"first")
			near, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer near.Close()
			h := proxyproto.Of(near)
			if near.RemoteAddr().String() != "192.0.2.1:56324" || h == nil || h.Peer.String() != far.LocalAddr().String() {
				t.Errorf("from %v, with %+v", near.RemoteAddr(), h)
			}
			_, _ = io.WriteString(far, " and second")
			got := make([]byte, len("first and second"))
			if _, err := io.ReadFull(near, got); err != nil || string(got) != "first and second" {
				t.Errorf("read %q, %v", got, err)
			}
			if n := Of(near).network; n.prefix != prefix("192.0.2.1") || n.places != 1 {
				t.Errorf("counted for %v", n.prefix)
			}
			if network == "tcp" {
				if err := near.(interface{ SetLinger(int) error }).SetLinger(0); err != nil {
					t.Error(err)
				}
			}
			if len(closed) > 0 {
				t.Errorf("refused: %+v", <-closed)
			}
		})
	}
}

// TestProxiedRefused checks that a connection without a header is closed, and
// so is one of a peer that may not send a header.
func TestProxiedRefused(t *testing.T) {
	strangers := proxyproto.Rules{Timeout: time.Minute, Trusted: func(net.Addr) bool { return false }}
	for name, tt := range map[string]struct {
		first string
		rules proxyproto.Rules
		want  error // nil for any
	}{
		"a request":     {"GET / HTTP/1.1\r\n\r\n", proxyproto.Rules{Timeout: time.Minute}, nil},
		"TLS":           {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00\x00", proxyproto.Rules{Timeout: time.Minute}, nil},
		"silence":       {"", proxyproto.Rules{Timeout: 100 * time.Millisecond}, os.ErrDeadlineExceeded},
		"half a header": {header[:20], proxyproto.Rules{Timeout: 100 * time.Millisecond}, os.ErrDeadlineExceeded},
		"a stranger":    {header + "GET / HTTP/1.1\r\n\r\n", strangers, proxyproto.ErrNotTrusted},
	} {
		t.Run(name, func(t *testing.T) {
			limiter := New(Limits{Connections: 2, PerAddress: 1}, nil)
			l, closed := listenProxied(t, limiter, "tcp", "127.0.0.1:0", tt.rules)
			far := dial(t, l, tt.first)
			if rest, err := io.ReadAll(far); len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the peer got %q, %v", rest, err)
			}
			got := <-closed
			if got.peer != far.LocalAddr().String() || got.err == nil || tt.want != nil && !errors.Is(got.err, tt.want) {
				t.Errorf("got %+v", got)
			}
			for started := time.Now(); ; time.Sleep(time.Millisecond) {
				open, _ := limiter.Usage()
				if open == 0 { // the limiter learns of it after the client does
					break
				}
				if time.Since(started) > time.Minute {
					t.Fatalf("%d places are taken", open)
				}
			}
		})
	}
}

// TestProxiedClosed checks that after Close, Accept returns, and connections
// whose header is incomplete are closed.
func TestProxiedClosed(t *testing.T) {
	limiter := New(Limits{Connections: 2, PerAddress: 2}, nil)
	l, _ := listenProxied(t, limiter, "tcp", "127.0.0.1:0", proxyproto.Rules{Timeout: time.Minute})
	far := dial(t, l, header)
	ended := make(chan error, 2)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for range 2 {
			conn, err := l.Accept()
			if err == nil { // it may have been accepted before Close
				_ = conn.Close()
			}
			ended <- err
		}
	}()
	if err := <-ended; err != nil && !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if rest, err := io.ReadAll(far); len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the peer got %q, %v", rest, err)
	}
}
