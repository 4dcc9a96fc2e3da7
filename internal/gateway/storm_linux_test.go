package gateway

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"wsauth"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/wsframe"
)

// upstreamBehaviors are ways in which an upstream treats a handshake. accept is
// the value of Sec-WebSocket-Accept for its answer.
var upstreamBehaviors = []func(conn net.Conn, accept string){
	func(conn net.Conn, accept string) { _, _ = io.WriteString(conn, switchingProtocols(accept, "")) },
	func(conn net.Conn, accept string) {
		for _, b := range []byte(switchingProtocols(accept, "")) {
			_, _ = conn.Write([]byte{b})
		}
	},
	func(conn net.Conn, accept string) {
		_, _ = io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
		_, _ = io.WriteString(conn, switchingProtocols(accept, ""))
	},
	func(conn net.Conn, accept string) {
		_, _ = io.WriteString(conn, switchingProtocols(accept, "")+"\x82\x01a\x88\x02\x03\xe8")
	},
	func(conn net.Conn, _ string) {
		_, _ = io.WriteString(conn, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
	},
	func(net.Conn, string) {}, // disconnects
	func(conn net.Conn, _ string) { _ = conn.(*net.TCPConn).SetLinger(0) },
	func(conn net.Conn, _ string) { _, _ = io.Copy(io.Discard, conn) },
	func(conn net.Conn, accept string) {
		_, _ = io.WriteString(conn, switchingProtocols(accept, "X-Long: "+strings.Repeat("a", 100<<10)+"\r\n"))
	},
	func(conn net.Conn, accept string) {
		_, _ = io.WriteString(conn, switchingProtocols(accept, "X-Long: "+strings.Repeat("a", 9<<10)+"\r\n"))
	},
	func(conn net.Conn, accept string) { _, _ = io.WriteString(conn, switchingProtocols("x"+accept, "")) },
	func(conn net.Conn, accept string) {
		_, _ = io.WriteString(conn, switchingProtocols(accept, "")[:50])
		_, _ = io.Copy(io.Discard, conn)
	},
	func(conn net.Conn, accept string) {
		_, _ = io.WriteString(conn, switchingProtocols(accept, ""))
		_ = conn.(*net.TCPConn).SetLinger(0)
	},
	func(conn net.Conn, _ string) { _, _ = io.WriteString(conn, "\x00\x01\x02 nonsense\r\n\r\n") },
	func(conn net.Conn, accept string) {
		_, _ = io.WriteString(conn, switchingProtocols(accept, ""))
		_, _ = io.Copy(io.Discard, conn)
	},
}

func switchingProtocols(accept, more string) string {
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + "\r\n" + more + "\r\n"
}

// randomUpstream starts an upstream that chooses one of the upstreamBehaviors
// for each handshake.
func randomUpstream(t *testing.T) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				r, err := http.ReadRequest(bufio.NewReader(conn))
				if err == nil {
					upstreamBehaviors[rand.IntN(len(upstreamBehaviors))](conn, wsframe.AcceptKey(r.Header.Get("Sec-WebSocket-Key")))
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return "http://" + l.Addr().String()
}

// clientBehaviors are ways in which a client uses a connection. head is that of
// a handshake.
var clientBehaviors = []func(conn net.Conn, head string){
	func(conn net.Conn, head string) { // correctly
		_, _ = io.WriteString(conn, head)
		_, _ = bufio.NewReader(conn).ReadString('\n')
		_, _ = conn.Write([]byte{0x82, 0x81, 0, 0, 0, 0, 'a', 0x88, 0x82, 0, 0, 0, 0, 3, 0xe8})
		_, _ = io.Copy(io.Discard, conn)
	},
	func(conn net.Conn, head string) { // leaves late
		_, _ = io.WriteString(conn, head)
		_, _ = io.Copy(io.Discard, conn)
	},
	func(conn net.Conn, head string) { _, _ = io.WriteString(conn, head) },
	func(conn net.Conn, head string) {
		_, _ = io.WriteString(conn, head)
		_ = conn.(*net.TCPConn).SetLinger(0)
	},
	func(conn net.Conn, head string) {
		_, _ = io.WriteString(conn, head)
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
	},
	func(conn net.Conn, head string) { // in pieces
		for b := []byte(head); len(b) > 0; b = b[min(len(b), 40):] {
			_, _ = conn.Write(b[:min(len(b), 40)])
		}
		_, _ = bufio.NewReader(conn).ReadString('\n')
	},
	func(conn net.Conn, head string) { _, _ = io.WriteString(conn, head[:len(head)/2]) },
	func(net.Conn, string) {},
	func(conn net.Conn, head string) {
		_, _ = io.WriteString(conn, head+"\x82\x81\x00\x00\x00\x00a")
		_, _ = io.Copy(io.Discard, conn)
	},
	func(conn net.Conn, head string) { // sends data too early
		_, _ = io.WriteString(conn, head)
		_, _ = io.WriteString(conn, "\x81\x8f\x00\x00\x00\x00{\"type\":\"auth\"}")
		_, _ = io.Copy(io.Discard, conn)
	},
	func(conn net.Conn, head string) { // after another request
		reader := bufio.NewReader(conn)
		_, _ = io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: app.example\r\n\r\n")
		if resp, err := http.ReadResponse(reader, nil); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		_, _ = io.WriteString(conn, head)
		_, _ = reader.ReadString('\n')
	},
}

func openFiles(t *testing.T) (names []string) {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		to, _ := os.Readlink("/proc/self/fd/" + f.Name())
		names = append(names, f.Name()+" "+to)
	}
	return names
}

// TestStorm checks that no socket, descriptor or goroutine is left at the end,
// whatever clients and upstreams do while several loops serve them and routes
// and revocations change.
func TestStorm(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		t.Run(fmt.Sprintf("stopped %v", stopped), func(t *testing.T) {
			before := openFiles(t)
			t.Run("storm", func(t *testing.T) { runStorm(t, stopped) })
			after := openFiles(t)
			if len(after) > len(before) {
				t.Errorf("%d descriptors are open, %d before: %q", len(after), len(before), after)
			}
		})
	}
}

func runStorm(t *testing.T, stopped bool) {
	procs := runtime.GOMAXPROCS(6)
	t.Cleanup(func() { runtime.GOMAXPROCS(procs) })
	upstream := randomUpstream(t)
	route := func(path string) proxy.Route {
		return proxy.Route{Path: path, Upstreams: []string{upstream}, Response: 100 * time.Millisecond}
	}
	said, public, first := route("/said"), route("/public"), route("/first")
	said.Refusal, public.Public = wsauth.RefuseClose, true
	first.Extractors = []wsauth.Extractor{wsauth.FirstMessage{Timeout: 50 * time.Millisecond}}
	routes := []proxy.Route{route("/chat"), said, public, first}
	r := start(t, func(c *Config) {
		c.Routes = routes
		c.Limits.PerSubject = 20
		c.Front.Drain = 20 * time.Second
	})
	access, _ := r.Login()
	addr := strings.TrimPrefix(r.URL, "http://")
	var clients, others sync.WaitGroup
	done, left := make(chan struct{}), make(chan struct{}, 40*40)
	for range 40 {
		clients.Go(func() {
			for range 40 {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					return
				}
				_ = conn.SetDeadline(time.Now().Add(time.Duration(rand.IntN(300)) * time.Millisecond))
				head := "GET " + routes[rand.IntN(len(routes))].Path + " HTTP/1.1\r\n" + socketFields
				if rand.IntN(4) > 0 {
					head += "Authorization: Bearer " + access + "\r\n"
				}
				clientBehaviors[rand.IntN(len(clientBehaviors))](conn, head+"\r\n")
				_ = conn.Close()
				left <- struct{}{}
			}
		})
	}
	others.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			default:
			}
			for s := range r.g.guard.Sockets(wsauth.Filter{All: true}) {
				if rand.IntN(3) == 0 {
					s.End(wsauth.SessionEnded)
				}
			}
			changed := append([]proxy.Route(nil), routes...)
			changed[0].Response += time.Duration(n%2) * time.Millisecond
			if n%3 == 0 {
				changed = changed[:3]
			}
			if err := r.g.Update(changed); err != nil {
				t.Error(err)
			}
			runtime.Gosched()
		}
	})
	if !stopped {
		clients.Wait()
	} else {
		for range 400 { // some of the clients have left, others are still active
			<-left
		}
	}
	close(done)
	others.Wait()
	r.stop()
	if err := <-r.served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	clients.Wait()
	if log := r.log.String(); strings.Contains(log, "panic") {
		t.Error(log[strings.Index(log, "panic"):])
	}
	if n := r.g.routes.Connected(); n > 0 {
		t.Errorf("%d sockets are left", n)
	}

}
