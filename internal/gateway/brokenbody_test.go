package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"wsauth/internal/gateway/proxy"
)

// TestBrokenBody checks that a client learns what is wrong with its body, and
// that the upstream is not counted as failed.
func TestBrokenBody(t *testing.T) {
	b := newBackend(t)
	down := func() string {
		l := must(net.Listen("tcp", "127.0.0.1:0"))
		defer l.Close()
		return "http://" + l.Addr().String()
	}()
	const chunked = "Transfer-Encoding: chunked\r\n\r\n"
	for name, c := range map[string]struct {
		request string
		hangUp  bool
		want    int
	}{
		"chunk length":        {chunked + "xyz\r\nhello\r\n0\r\n\r\n", false, 400},
		"no chunk length":     {chunked + "\r\nhello\r\n0\r\n\r\n", false, 400},
		"huge chunk":          {chunked + "11111111111111111\r\nhello\r\n", false, 400},
		"chunk too long":      {chunked + "2\r\nhello\r\n0\r\n\r\n", false, 400},
		"later chunk":         {chunked + "5\r\nhello\r\n-1\r\n", false, 400},
		"bare LF":             {chunked + "5\nhello\r\n0\r\n\r\n", false, 400},
		"bad trailer":         {chunked + "0\r\nnot a field\r\n\r\n", false, 400},
		"no last chunk":       {chunked + "5\r\nhello\r\n", true, 0},
		"broken chunk":        {chunked + "5\r\nhel", true, 0},
		"short":               {"Content-Length: 10\r\n\r\nhello", true, 0},
		"short with 100":      {"Content-Length: 10\r\nExpect: 100-continue\r\n\r\nhello", true, 0},
		"bad with 100":        {"Expect: 100-continue\r\n" + chunked + "xyz\r\n", false, 400},
		"whole":               {"Content-Length: 5\r\n\r\nhello", false, 200},
		"whole in chunks":     {chunked + "5\r\nhello\r\n0\r\n\r\n", false, 200},
		"no upstream":         {"Content-Length: 5\r\n\r\nhello", false, 502},
		"broken, no upstream": {"Content-Length: 10\r\n\r\nhello", true, 502}, // the body is not read
	} {
		t.Run(name, func(t *testing.T) {
			r := serveBehind(t, b, withAccessLog, func(c *Config) {
				if name == "no upstream" || name == "broken, no upstream" {
					c.Routes[1].Upstreams = []string{down}
				}
			})
			conn := r.Connect().(*net.TCPConn)
			if _, err := io.WriteString(conn, "POST /public/a HTTP/1.1\r\nHost: x\r\n"+c.request); err != nil {
				t.Fatal(err)
			}
			if c.hangUp {
				_ = conn.CloseWrite()
			}
			in := bufio.NewReader(conn)
			resp, err := http.ReadResponse(in, nil)
			for err == nil && resp.StatusCode < 200 {
				resp, err = http.ReadResponse(in, nil)
			}
			if c.want == 0 { // the client has left
				if line := r.wantLine("request", 1, "path=/public/a"); err == nil || strings.Contains(line, "status=") {
					t.Errorf("answered with %v: %s", resp, line)
				}
				r.wantFailures(false)
				return
			}
			if err != nil || resp.StatusCode != c.want {
				t.Fatalf("%v, %v, want %d", resp, err, c.want)
			}
			if c.want == http.StatusBadRequest && (!resp.Close || resp.Header.Get("Content-Type") != "application/problem+json") {
				t.Errorf("header %v", resp.Header)
			}
			r.wantFailures(c.want >= 500)
			if c.want == http.StatusBadRequest {
				r.wantLine("refused", 1, "reason=invalid_request", "remote=127.0.0.1")
			}
			r.wantLine("request", 1, fmt.Sprintf("status=%d", c.want))
		})
	}
}

// wantFailures checks whether the metrics record failures of upstreams.
func (r *rig) wantFailures(want bool) {
	r.T.Helper()
	got := false
	for name := range r.metrics() {
		got = got || strings.HasPrefix(name, "upstream_failures_total{")
	}
	if got != want {
		r.T.Errorf("upstream failures recorded: %v, want %v", got, want)
	}
	healthy, all := 0, 0
	for _, route := range r.g.routes.States() {
		if route.Name != "/" {
			continue
		}
		all = len(route.Upstreams)
		for _, u := range route.Upstreams {
			if u.Healthy {
				healthy++
			}
		}
	}
	if healthy != all {
		r.T.Errorf("%d of %d upstreams are healthy", healthy, all)
	}
}

// TestResetBody checks that a client that resets its connection or HTTP/2
// stream during a body gets no answer, and that the upstream is not counted as
// failed.
func TestResetBody(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b, withAccessLog)
	conn := r.Connect().(*net.TCPConn)
	if _, err := io.WriteString(conn, "POST /public/a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetLinger(0)
	_ = conn.Close()
	if line := r.wantLine("request", 1, "path=/public/a"); strings.Contains(line, "status=") {
		t.Error(line)
	}
	r.wantFailures(false)

	s, _ := overTLS(t, withAccessLog, func(c *Config) { c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Public: true}} })
	in, out := io.Pipe()
	go func() {
		_, _ = io.WriteString(out, "hello")
		_ = out.CloseWithError(io.ErrClosedPipe)
	}()
	req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/public/a", in))
	if resp, err := s.HTTP.Transport.RoundTrip(req); err == nil {
		_ = resp.Body.Close()
		t.Errorf("answered with %d", resp.StatusCode)
	}
	if line := s.wantLine("request", 1, "path=/public/a", "proto=HTTP/2.0"); strings.Contains(line, "status=") {
		t.Error(line)
	}
	s.wantFailures(false)
}

// TestSilentBody checks that a body that stops arriving is attributed to the
// client, not to the upstream.
func TestSilentBody(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		conn := r.serveRoute(proxy.Route{Path: "/", Public: true}, func(w http.ResponseWriter, req *http.Request) { _, _ = io.Copy(io.Discard, req.Body) })
		if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello"); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusRequestTimeout {
			t.Fatalf("got %v, %v, want %v", resp, err, http.StatusRequestTimeout)
		}
		if took := time.Since(started); took != proxy.Patience {
			t.Errorf("it took %v", took)
		}
	})
}
