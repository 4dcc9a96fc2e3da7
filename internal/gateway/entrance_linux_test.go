package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"wsauth"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/proxy"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// answerTo sends a request in pieces, each after the gateway has processed the
// previous ones, and returns the answer.
func (r *rig) answerTo(pieces ...string) (status int, header http.Header) {
	r.T.Helper()
	conn := r.Connect()
	defer conn.Close()
	for i, piece := range pieces {
		if i > 0 {
			r.get("/livez") // passes the same loop after the piece
		}
		if _, err := io.WriteString(conn, piece); err != nil {
			r.T.Fatal(err)
		}
	}
	return r.comparableParts(must(http.ReadResponse(bufio.NewReader(conn), nil)))
}

// comparableParts returns the parts of an answer that do not vary. It reads a
// body up to its length or the end of the connection.
func (r *rig) comparableParts(resp *http.Response) (status int, header http.Header) {
	r.T.Helper()
	if resp.StatusCode != http.StatusSwitchingProtocols && resp.ContentLength > 0 {
		_, _ = io.CopyN(io.Discard, resp.Body, resp.ContentLength)
	}
	_ = resp.Body.Close()
	for _, name := range []string{"Date", "Content-Length", "Transfer-Encoding"} {
		resp.Header.Del(name)
	}
	return resp.StatusCode, resp.Header
}

// A callerHandler records whether net/http served the request of the latest
// refusal that was logged.
type callerHandler struct {
	slog.Handler
	byServer *atomic.Bool
}

func (h callerHandler) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "refused") {
		h.byServer.Store(bytes.Contains(debug.Stack(), []byte("net/http.(*conn).serve")))
	}
	return h.Handler.Handle(ctx, r)
}

func (h callerHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return callerHandler{h.Handler.WithAttrs(attrs), h.byServer}
}

// TestEntrance checks that a handshake gets the same answer whether it arrives
// at once, so that an event loop reads it, or in pieces or as the second
// request on its connection, so that net/http does.
func TestEntrance(t *testing.T) {
	byServer := &atomic.Bool{}
	r := serveBehind(t, newBackend(t), func(c *Config) {
		c.Logger = slog.New(callerHandler{c.Logger.Handler(), byServer})
		c.Routes = append(c.Routes,
			proxy.Route{Path: "/down", Upstreams: []string{"http://127.0.0.1:1"}},
			proxy.Route{Path: "/said", Upstreams: c.Routes[0].Upstreams, Refusal: wsauth.RefuseClose},
		)
	})
	access, _ := r.Login()
	known := socketFields + "Authorization: Bearer " + access + "\r\n"
	for name, tt := range map[string]struct {
		request string
		status  int
	}{
		"a socket":             {"GET /chat HTTP/1.1\r\n" + known, 101},
		"one for everybody":    {"GET /public/chat HTTP/1.1\r\n" + socketFields, 101},
		"no token":             {"GET /chat HTTP/1.1\r\n" + socketFields, 401},
		"no token, said later": {"GET /said HTTP/1.1\r\n" + socketFields, 101},
		"no upstream":          {"GET /down HTTP/1.1\r\n" + known, 502},
		"of our own":           {"GET /auth/session HTTP/1.1\r\n" + known, 200},
		"nothing of our own":   {"GET /auth/nothing HTTP/1.1\r\n" + known, 404},
		"not plain":            {"GET /a//../b HTTP/1.1\r\n" + known, 400},
		"another origin":       {"GET /chat HTTP/1.1\r\nOrigin: https://evil.example\r\n" + known, 403},
		"another version":      {"GET /chat HTTP/1.1\r\n" + strings.Replace(known, "Version: 13", "Version: 8", 1), 426},
		"no key":               {"GET /chat HTTP/1.1\r\n" + strings.Replace(known, "dGhl", "", 1), 400},
		"another upgrade":      {"GET /chat HTTP/1.1\r\n" + strings.Replace(known, "Upgrade: websocket", "Upgrade: foo", 1), 400},
		"h2c":                  {"GET /public/ HTTP/1.1\r\n" + strings.Replace(known, "Upgrade: websocket", "Upgrade: h2c", 1), 200},
		"health":               {"GET /livez HTTP/1.1\r\n" + known, 200},
		"a long target":        {"GET /" + strings.Repeat("a", 9<<10) + " HTTP/1.1\r\n" + known, 414},
		"long fields":          {"GET /chat HTTP/1.1\r\nX-Long: " + strings.Repeat("a", 40<<10) + "\r\n" + known, 431},
	} {
		request := tt.request
		if !strings.Contains(name, "long") && front.ReadHandshake([]byte(request+"\r\n")) == nil {
			t.Errorf("%s: no event loop has read it", name)
		}
		byServer.Store(true)
		status, header := r.answerTo(request + "\r\n")
		if status != tt.status {
			t.Errorf("%s: %d, want %d", name, status, tt.status)
		}
		if name == "no token" && byServer.Load() {
			t.Errorf("%s: net/http has read it", name)
		}
		for what, pieces := range map[string][]string{
			"in pieces": {request[:30], request[30:] + "\r\n"},
			"second":    {"GET /livez HTTP/1.1\r\nHost: app.example\r\n\r\n"},
		} {
			byServer.Store(false)
			var wantStatus int
			var want http.Header
			if what == "second" {
				wantStatus, want = r.second(pieces[0], request+"\r\n")
			} else {
				wantStatus, want = r.answerTo(pieces...)
			}
			if name == "no token" && !byServer.Load() {
				t.Errorf("%s, %s: an event loop has read it", name, what)
			}
			header.Del("Connection")
			want.Del("Connection") // net/http keeps the connection open after some refusals
			if status != wantStatus || !cmp.Equal(header, want) {
				t.Errorf("%s: %d at once and %d %s; %s", name, status, wantStatus, what, cmp.Diff(header, want))
			}
		}
	}
}

// second sends a request on a connection after the answer to another.
func (r *rig) second(before, request string) (status int, header http.Header) {
	r.T.Helper()
	conn := r.Connect()
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for _, each := range []string{before, request} {
		if _, err := io.WriteString(conn, each); err != nil {
			r.T.Fatal(err)
		}
		status, header = r.comparableParts(must(http.ReadResponse(reader, nil)))
	}
	return status, header
}

// A slowTickets is a store that delays the use of tickets.
type slowTickets struct {
	store.Store
	requests chan struct{}
	release  chan struct{}
}

func (s slowTickets) TakeTicket(ctx context.Context, key store.TicketKey) ([]byte, error) {
	s.requests <- struct{}{}
	<-s.release
	return s.Store.TakeTicket(ctx, key)
}

// busyServer returns the address of a server whose queue of connections is
// full.
func busyServer(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(name.(*unix.SockaddrInet4).Port)).String() //nolint:gosec // a port fits
	for {
		conn, err := net.DialTimeout("tcp", addr, 50*time.Millisecond)
		if err != nil {
			return "http://" + addr
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
}

// connecting reports whether this process has a connection to addr that was
// neither accepted nor refused (SYN_SENT in proc_net_tcp.txt of the kernel).
func connecting(t *testing.T, addr string) bool {
	t.Helper()
	table, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	to := netip.MustParseAddrPort(addr)
	ip := to.Addr().As4()
	remote := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(ip[:]), to.Port())
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 3 && f[2] == remote && f[3] == "02" {
			return true
		}
	}
	return false
}

// TestNothingBlocksTheLoop checks that while one handshake waits, for an
// upstream or for the store, open sockets continue and others open.
func TestNothingBlocksTheLoop(t *testing.T) {
	tickets := slowTickets{memory.New(store.Limits{}), make(chan struct{}, 1), make(chan struct{})}
	busy := busyServer(t)
	connects := func() bool { return connecting(t, strings.TrimPrefix(busy, "http://")) }
	if connects() {
		t.Fatal("the busy server already has a pending connection")
	}
	r := serveBehind(t, newBackend(t), func(c *Config) {
		c.Store = tickets
		c.Routes = append(c.Routes, proxy.Route{Path: "/busy", Upstreams: []string{busy}, Connect: time.Minute})
	})
	defer close(tickets.release)
	access, _ := r.Login()
	open := r.socket("/chat", bearer(access))
	ticket, err := r.g.guard.IssueTicket(t.Context(), &token.Claims{Subject: "ada", ExpiresAt: time.Now().Add(time.Hour)}, wsauth.TicketFor{Path: "/chat"})
	if err != nil {
		t.Fatal(err)
	}
	for name, request := range map[string]string{
		"an upstream that takes nobody": "GET /busy HTTP/1.1\r\n" + socketFields + "Authorization: Bearer " + access + "\r\n\r\n",
		"a store that takes its time":   "GET /chat?ticket=" + ticket + " HTTP/1.1\r\n" + socketFields + "\r\n",
	} {
		conn := r.Connect()
		defer conn.Close()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		toUpstream := !strings.Contains(request, "ticket")
		if !toUpstream {
			select {
			case <-tickets.requests:
			case <-time.After(10 * time.Second):
				t.Fatal("the gateway does not ask the store")
			}
		}
		for started := time.Now(); toUpstream && !connects(); time.Sleep(time.Millisecond) {
			if time.Since(started) > 10*time.Second {
				t.Fatal("the gateway does not connect to the busy upstream")
			}
		}
		r.WantEcho(open, name)
		r.WantEcho(r.socket("/chat", bearer(access)), name)
		if toUpstream && !connects() {
			t.Error("the gateway was not connecting all the time")
		}
	}
}

// TestH11_ServedConnectionsNoticeADeadPeer checks that the gateway sets the
// keep-alive option on a listener that was opened without it, so that
// connections inherit it.
func TestH11_ServedConnectionsNoticeADeadPeer(t *testing.T) {
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	l, err := plain.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File() // still valid after the gateway has taken l
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	b := newBackend(t)
	r := serve(t, l, "http://"+l.Addr().String(), &http.Transport{}, []func(*Config){func(c *Config) { c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}}} }})
	r.get("/livez") // waits until it serves
	raw, err := file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var alive int
	var failed error
	err = raw.Control(func(fd uintptr) { alive, failed = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE) }) //nolint:gosec // a descriptor fits
	if err != nil || failed != nil || alive == 0 {
		t.Errorf("keep-alive is %d, %v, %v", alive, err, failed)
	}
}
