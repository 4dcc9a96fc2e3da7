package gateway

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/internal/gateway/proxy"
	"wsauth/internal/wstest"
)

// serveRoute serves a route to backend as Serve does, within a bubble, and
// returns a connection to it.
func (r *rig) serveRoute(route proxy.Route, backend http.HandlerFunc) net.Conn {
	r.T.Helper()
	behind, front := wstest.NewPipes(), wstest.NewPipes()
	route.Upstreams = []string{"http://backend"}
	p := must(r.g.routes.Handler(route, pipedServer{behind}))
	server := &http.Server{Handler: p, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second} // as Serve has it
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	for l, s := range map[net.Listener]*http.Server{behind: {Handler: backend}, front: server} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = s.Serve(l) // until it is closed
		}()
		r.T.Cleanup(func() {
			_ = s.Close()
			<-done
		})
	}
	conn := front.Dial("")
	r.T.Cleanup(func() { _ = conn.Close() })
	return conn
}

// A pipedServer is a [proxy.LocalServer] behind pipes.
type pipedServer struct{ pipes *wstest.Pipes }

func (s pipedServer) Dial(ctx context.Context) (net.Conn, error) {
	return s.pipes.DialContext(ctx, "", "")
}

func (pipedServer) Announce(context.Context) (name, value string) { return "X-Piped", "" }
func (pipedServer) Close()                                        {}

// TestLateAnswers checks that an upstream may take longer than the write
// timeout of the server, even for an answer without a body. If an upstream
// takes too long, the gateway's own answer must arrive.
func TestLateAnswers(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP 1": false, "HTTP 2": true} {
		for after, want := range map[time.Duration]int{50 * time.Second: http.StatusNoContent, 2 * time.Minute: http.StatusGatewayTimeout} {
			t.Run(name+" "+after.String(), func(t *testing.T) {
				inBubble(t, func(t *testing.T, r *rig) {
					conn := r.serveRoute(proxy.Route{Path: "/", Public: true}, func(w http.ResponseWriter, _ *http.Request) {
						time.Sleep(after)
						w.WriteHeader(http.StatusNoContent)
					})
					resp, err := clientOver(t, conn, http2).Get("http://backend/")
					if err != nil || resp.StatusCode != want {
						t.Fatalf("got %v %v, want %v", resp, err, want)
					}
					_ = resp.Body.Close()
					time.Sleep(after) // for the backend
				})
			})
		}
	}
}

// TestR15_ClientsThatDoNotReadAreCut checks that a client that reads nothing is
// disconnected, even if the whole answer is in the server's buffer.
func TestR15_ClientsThatDoNotReadAreCut(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		conn := r.serveRoute(proxy.Route{Path: "/", Public: true}, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "short") })
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * proxy.Patience)
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%d bytes after %v", n, 2*proxy.Patience)
		}
	})
}

// TestL4_EventsOfASlowReaderEnd checks that the event stream of a slow reader
// ends with its session, not only after proxy.Patience.
func TestL4_EventsOfASlowReaderEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		begin, gone := make(chan struct{}), make(chan time.Time, 1)
		conn := r.serveRoute(proxy.Route{Path: "/"}, func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			<-begin
			for req.Context().Err() == nil {
				if _, err := io.WriteString(w, "data: more than anybody reads\n\n"); err != nil {
					break
				}
			}
			gone <- time.Now()
		})
		access, refresh := r.Login()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n"+bearer(access)+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(conn)
		if _, err := http.ReadResponse(in, nil); err != nil {
			t.Fatal(err)
		}
		close(begin)
		synctest.Wait() // the gateway writes, and the client does not read
		ended := time.Now()
		r.Call("POST", "/auth/logout", "", bearer(refresh))
		if late := (<-gone).Sub(ended); late > time.Second {
			t.Errorf("the upstream sends for %v after the end of the session", late)
		}
		time.Sleep(time.Second)
		if n, _ := io.Copy(io.Discard, conn); n > 0 {
			t.Errorf("%d bytes are still readable, want none", n)
		}
	})
}
