package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"wsauth"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/logintest"
)

// longKinds are requests that take long. Each ends with its session; the
// fields say what else ends it.
var longKinds = []struct {
	name    string
	head    string // of the request, after the first line
	body    string // what the client sends of the body
	upload  bool
	serve   func(w http.ResponseWriter, r *http.Request) // until the context ends
	expires bool                                         // ends when the token expires
	refused bool                                         // the client gets a status
}{
	{name: "events", serve: streamOf("text/event-stream", ""), expires: true},
	{name: "events with a length", serve: streamOf("text/event-stream", "1000000"), expires: true},
	{name: "parts", serve: streamOf("multipart/x-mixed-replace; boundary=x", ""), expires: true},
	{name: "lines", serve: streamOf("application/x-ndjson", ""), expires: true},
	{name: "no type", serve: streamOf("", ""), expires: true},
	{name: "download", serve: streamOf("application/octet-stream", "1000000")},
	{name: "range", head: "Range: bytes=0-999999\r\n", serve: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Range", "bytes 0-999999/2000000")
		streamOf("application/octet-stream", "1000000")(w, r)
	}},
	{name: "long poll", serve: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, expires: true, refused: true},
	{name: "hints", serve: func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		<-r.Context().Done()
	}, expires: true, refused: true},
	{name: "upload", head: "Content-Length: 1000000\r\n", body: strings.Repeat("x", 1000), upload: true, refused: true, serve: readAll},
	{name: "chunked upload", head: "Transfer-Encoding: chunked\r\n", body: "1\r\nx\r\n", upload: true, refused: true, expires: true, serve: readAll},
	{name: "upload that was received", head: "Content-Length: 3\r\n", body: "abc", serve: readAll, expires: true, refused: true},
	{name: "both ways", head: "Transfer-Encoding: chunked\r\n", body: "1\r\nx\r\n", upload: true, expires: true, serve: func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.WriteString(w, "hello")
		_ = http.NewResponseController(w).Flush()
		_, _ = io.Copy(io.Discard, r.Body) // net/http reports a disconnect as the end of the body
	}},
}

// streamOf returns a handler that answers with some bytes and then waits until
// its client disconnects.
func streamOf(kind, length string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if kind != "" {
			w.Header().Set("Content-Type", kind)
		}
		if length != "" {
			w.Header().Set("Content-Length", length)
		}
		_, _ = io.WriteString(w, "hello")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

func readAll(_ http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err == nil {
		<-r.Context().Done()
	}
}

// TestL4_LongRequestsEnd checks that a request that takes longer than a second
// ends with its session: visibly for the client, and at once for the upstream.
// If its length is unknown, or if it is an event stream, it also ends when its
// token expires.
func TestL4_LongRequestsEnd(t *testing.T) {
	for _, kind := range longKinds {
		for _, end := range []string{"logout", "revoke", "expiry", "early logout"} {
			t.Run(kind.name+"/"+end, func(t *testing.T) {
				inBubble(t, func(t *testing.T, r *rig) {
					t.Cleanup(func() { time.Sleep(time.Second) }) // the server waits before it closes
					gone := make(chan time.Time, 1)
					conn := r.serveRoute(proxy.Route{Path: "/", Response: time.Hour}, func(w http.ResponseWriter, req *http.Request) {
						kind.serve(w, req)
						gone <- time.Now()
					})
					access, refresh := r.Login()
					method := "GET"
					if kind.head != "" && kind.name != "range" {
						method = "POST"
					}
					go func() {
						_, _ = io.WriteString(conn, method+" / HTTP/1.1\r\nHost: x\r\n"+bearer(access)+"\r\n"+kind.head+"\r\n"+kind.body)
					}()
					in := bufio.NewReader(conn)
					type result struct {
						resp *http.Response
						err  error
					}
					got := make(chan result, 1)
					go func() {
						for {
							resp, err := http.ReadResponse(in, nil)
							if err == nil && resp.StatusCode == http.StatusEarlyHints {
								continue
							}
							if err == nil {
								var text []byte
								text, err = io.ReadAll(resp.Body)
								resp.Body = io.NopCloser(strings.NewReader(string(text)))
							}
							got <- result{resp, err}
							return
						}
					}()
					synctest.Wait()
					if end != "early logout" {
						time.Sleep(2 * time.Second)
					}
					ended := time.Now()
					wantReason := "session_ended"
					switch end {
					case "logout":
						r.Call("POST", "/auth/logout", "", bearer(refresh))
					case "early logout":
						r.Call("POST", "/auth/logout", "", bearer(refresh))
						wantReason = "token_revoked"
						ended = ended.Add(time.Second)
					case "revoke":
						if _, n, err := r.g.login.EndUser(context.Background(), "test"); n != 1 || err != nil {
							t.Errorf("%d requests ended, %v", n, err)
						}
					case "expiry":
						wantReason = "token_expired"
						claims := r.Claims(access)
						ended = time.Unix(int64(claims["exp"].(float64)), 0)
						if kind.upload { // the gateway would abandon an upload that stops
							piece := "x"
							if strings.Contains(kind.head, "chunked") {
								piece = "1\r\nx\r\n"
							}
							go func() {
								for _, err := io.WriteString(conn, piece); err == nil; _, err = io.WriteString(conn, piece) {
									time.Sleep(time.Second)
								}
							}()
						}
						time.Sleep(time.Until(ended) + time.Second)
						synctest.Wait()
						if !kind.expires {
							if len(gone) > 0 || len(got) > 0 {
								t.Error("it ends when its token expires")
							}
							return
						}
					}
					if late := (<-gone).Sub(ended); late > 100*time.Millisecond {
						t.Errorf("the upstream sees the end %v late", late)
					}
					x := <-got
					switch {
					case kind.refused:
						if x.err != nil {
							t.Fatalf("%v, want a refusal", x.err)
						}
						text, _ := io.ReadAll(x.resp.Body)
						logintest.Answer{Response: x.resp, Text: string(text)}.WantProblem(t, 401, wantReason, "")
					case x.err == nil || isTimeout(x.err):
						t.Errorf("the end is not visible: %v", x.err)
					}
				})
			})
		}
	}
}

// TestL4_LongRequestsOverHTTP2 checks how long requests end over HTTP/2: with
// 401 if the upstream has not answered, and otherwise by a reset of their
// stream, not of the connection.
func TestL4_LongRequestsOverHTTP2(t *testing.T) {
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/poll":
			<-r.Context().Done()
		case "/length":
			streamOf("", "1000")(w, r)
		default:
			streamOf("", "")(w, r)
		}
	}))
	t.Cleanup(b.Close)
	r, _ := overTLS(t, func(c *Config) { c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}}} })
	access, refresh := r.Login()
	type result struct {
		path string
		resp *http.Response
		err  error
		text string
	}
	got := make(chan result, 3)
	paths := []string{"/poll", "/length", "/chunked"}
	for _, path := range paths {
		go func() {
			req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, r.URL+path, nil)
			if err != nil {
				t.Error(err)
			}
			req.Header.Set("Authorization", "Bearer "+access)
			resp, err := r.HTTP.Do(req)
			var text []byte
			if err == nil {
				text, err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
			}
			got <- result{path, resp, err, string(text)}
		}()
	}
	for r.g.guard.Stats().Requests < len(paths) {
		<-time.After(10 * time.Millisecond)
	}
	r.Call("POST", "/auth/logout", "", bearer(refresh))
	for range paths {
		switch x := <-got; x.path {
		case "/poll":
			if x.err != nil || x.resp.StatusCode != http.StatusUnauthorized || x.resp.ProtoMajor != 2 || !strings.Contains(x.text, "session_ended") {
				t.Errorf("%s: got %v, %v, %q, want 401 session_ended", x.path, x.resp, x.err, x.text)
			}
		default:
			if x.err == nil || !strings.Contains(x.err.Error(), "stream error") {
				t.Errorf("%s: got %q, %v, want a reset of the stream", x.path, x.text, x.err)
			}
		}
	}
}

// TestLongRequestsCountApart checks that long requests evict no socket, that
// they are counted separately, and that a refresh extends them.
func TestLongRequestsCountApart(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		conn := r.serveRoute(proxy.Route{Path: "/", Response: 10 * time.Hour}, streamOf("text/event-stream", ""))
		access, refresh := r.Login()
		socket := r.openEcho(access)
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n"+bearer(access)+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(conn)
		if _, err := http.ReadResponse(in, nil); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, in) }()
		time.Sleep(2 * time.Second)
		if counts := r.g.guard.Stats(); counts.Sockets != 1 || counts.Requests != 1 {
			t.Errorf("got %+v, want one socket and one request", counts)
		}
		expires := time.Unix(int64(r.Claims(access)["exp"].(float64)), 0)
		time.Sleep(time.Until(expires) - time.Minute)
		r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(refresh)))
		r.message(socket)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if counts := r.g.guard.Stats(); counts.Sockets != 1 || counts.Requests != 1 {
			t.Errorf("after the refresh: %+v", counts)
		}
		_ = conn.Close()
		synctest.Wait()
		if counts := r.g.guard.Stats(); counts.Requests != 0 {
			t.Errorf("after the client has left: %+v", counts)
		}
	}, func(c *Config) { c.Limits.PerSubject = 1 })
}

// TestPublicRequestsAreNotFollowed checks that long requests of public routes
// and of anonymous clients are not registered.
func TestPublicRequestsAreNotFollowed(t *testing.T) {
	for name, route := range map[string]proxy.Route{"public": {Path: "/", Public: true}, "optional": {Path: "/", Requirement: wsauth.Optional}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				conn := r.serveRoute(route, streamOf("", ""))
				if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				resp := must(http.ReadResponse(bufio.NewReader(conn), nil))
				time.Sleep(5 * time.Second)
				if counts := r.g.guard.Stats(); counts.Requests != 0 {
					t.Errorf("got %+v, want no requests", counts)
				}
				_ = conn.SetReadDeadline(time.Now().Add(time.Second))
				if text, err := io.ReadAll(resp.Body); string(text) != "hello" || !isTimeout(err) {
					t.Errorf("got %q, %v, want hello and a timeout", text, err)
				}
			})
		})
	}
}

// TestDeclinedHandshakesEnd checks that the answer of an upstream that declines
// a handshake ends with the session, for both sides.
func TestDeclinedHandshakesEnd(t *testing.T) {
	gone := make(chan struct{})
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\nhello")
		_, _ = io.Copy(io.Discard, conn)
		close(gone)
	}()
	r := start(t, func(c *Config) {
		c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{"http://" + l.Addr().String()}}}
	})
	access, refresh := r.Login()
	conn := r.Connect()
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n%s\r\n\r\n", bearer(access), strings.Join(upgradeLines, "\r\n")); err != nil {
		t.Fatal(err)
	}
	resp := must(http.ReadResponse(bufio.NewReader(conn), nil))
	r.Call("POST", "/auth/logout", "", bearer(refresh))
	if _, err := io.ReadAll(resp.Body); err == nil || isTimeout(err) {
		t.Errorf("the end is not visible: %v", err)
	}
	<-gone
}

// TestDeclinedHandshakesAreWhole checks that the answer to a declined handshake
// arrives whole, or ends with a visible error.
func TestDeclinedHandshakesAreWhole(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		whole  bool
	}{
		"to the end":      {"HTTP/1.1 200 OK\r\n\r\nhello", true},
		"chunked":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", true},
		"chunked and cut": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false},
		"length and cut":  {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", false},
	} {
		t.Run(name, func(t *testing.T) {
			l := must(net.Listen("tcp", "127.0.0.1:0"))
			defer l.Close()
			go func() {
				if conn, err := l.Accept(); err == nil {
					_, _ = http.ReadRequest(bufio.NewReader(conn))
					_, _ = io.WriteString(conn, tt.answer)
					_ = conn.Close()
				}
			}()
			r := start(t, func(c *Config) {
				c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{"http://" + l.Addr().String()}}}
			})
			access, _ := r.Login()
			conn := r.Connect()
			if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n%s\r\n\r\n", bearer(access), strings.Join(upgradeLines, "\r\n")); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			text := []byte{}
			if err == nil {
				text, err = io.ReadAll(resp.Body)
			}
			if (err == nil) != tt.whole || tt.whole && string(text) != "hello" {
				t.Errorf("got %q, %v, want it whole: %t", text, err, tt.whole)
			}
		})
	}
}

// TestEndsOverHTTP10AreVisible checks that an incomplete answer without a
// length ends by a reset of the connection. A proxy that uses HTTP/1.0 to the
// gateway would otherwise pass it on as complete.
func TestEndsOverHTTP10AreVisible(t *testing.T) {
	stream := streamOf("application/x-ndjson", "")
	b := newBackendOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/whole"):
			_, _ = io.WriteString(w, "hello")
		case strings.HasSuffix(r.URL.Path, "/cut"):
			_, _ = io.WriteString(w, "hello")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		default:
			stream(w, r)
		}
	})
	routes := func(c *Config) {
		c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Public: true}, {Path: "/a/", Upstreams: []string{b.URL}}}
	}
	for name, begin := range map[string]func(*testing.T) (*rig, func() net.Conn){
		"plain": func(t *testing.T) (*rig, func() net.Conn) {
			r := start(t, routes)
			return r, r.Connect
		},
		"TLS": func(t *testing.T) (*rig, func() net.Conn) {
			r, _ := overTLS(t, routes)
			config := r.HTTP.Transport.(*http.Transport).TLSClientConfig.Clone()
			config.NextProtos = nil
			return r, func() net.Conn {
				conn := must(tls.Dial("tcp", strings.TrimPrefix(r.URL, "https://"), config))
				t.Cleanup(func() { _ = conn.Close() })
				return conn
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, connect := begin(t)
			for _, path := range []string{"/whole", "/cut", "/a/whole", "/a/cut", "/a/stream"} {
				access, refresh := r.Login()
				conn := connect()
				if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.0\r\nHost: x\r\n%s\r\n\r\n", path, bearer(access)); err != nil {
					t.Fatal(err)
				}
				in := bufio.NewReader(conn)
				resp, err := http.ReadResponse(in, nil)
				if err != nil && !strings.HasSuffix(path, "/cut") { // the reset may arrive before the head is read
					t.Fatal(err)
				}
				if strings.HasSuffix(path, "/stream") {
					r.Call("POST", "/auth/logout", "", bearer(refresh))
				}
				if err == nil {
					_, err = io.ReadAll(resp.Body)
				}
				if whole := strings.HasSuffix(path, "/whole"); (err == nil) != whole || isTimeout(err) {
					t.Errorf("%s: got %v, want it whole: %t", path, err, whole)
				}
			}
		})
	}
}

// TestLongRequestsPage compares the table in docs/gateway.md with what
// TestL4_LongRequestsEnd, TestTransferOf of package proxy and TestFollow of the
// guard expect.
func TestLongRequestsPage(t *testing.T) {
	want := map[string]wsauth.Transfer{
		"a body with `Content-Length` is being received":                      wsauth.Bounded,
		"no response yet, or a body without a length":                         wsauth.Unanswered,
		"a response with `Content-Length`":                                    wsauth.Bounded,
		"a response without one":                                              wsauth.Endless,
		"`text/event-stream` or `multipart/x-mixed-replace`, with or without": wsauth.Endless,
	}
	ends := map[bool]string{true: "ends", false: "goes on"}
	rows := tableOf(t, "gateway.md", "| transfer | logout or revocation | its token expires | the server drains |")
	for row, transfer := range want {
		cells := []string{"ends", ends[transfer != wsauth.Bounded], ends[transfer == wsauth.Endless]}
		if diff := cmp.Diff(cells, rows[row]); diff != "" {
			t.Errorf("%s (- program, + page):\n%s", row, diff)
		}
		delete(rows, row)
	}
	for row := range rows {
		t.Errorf("no test compares the row %q", row)
	}
}
