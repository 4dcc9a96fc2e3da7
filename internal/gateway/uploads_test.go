package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wsauth/internal/gateway/proxy"
)

var uploads = flag.Int("uploads", 12, "how often TestUploadsAreAnswered sends each kind of upload")

// uploadServers lists upstreams that answer POST /late after they have read the
// whole body, /early before they read it, and /never without reading it.
var uploadServers = []struct {
	name  string
	start func(t *testing.T) string
}{
	{"Python", func(t *testing.T) string { return program(t, "python3", "upload.py", "").url }},
	{"Node", func(t *testing.T) string { return program(t, "node", "upload.mjs", "").url }},
	{"nginx", func(t *testing.T) string {
		return nginx(t, func(addr string) string {
			return fmt.Sprintf(`client_max_body_size 0; server { listen %[1]s;
location /late { proxy_pass http://%[1]s/answer; } location / { return 200 "hello"; } location /never { lingering_close off; return 200 "hello"; } }`, addr)
		})
	}},
}

// An uploader sends one upload, and returns the body of the answer.
type uploader func(r *rig, path string, size int) (string, error)

var uploaders = map[string]uploader{
	"length":  func(r *rig, path string, size int) (string, error) { return writeThenRead(r, path, size, false) },
	"chunked": func(r *rig, path string, size int) (string, error) { return writeThenRead(r, path, size, true) },
	"expect": func(r *rig, path string, size int) (string, error) {
		return sendUpload(r, path, size, http.Header{"Expect": {"100-continue"}})
	},
	"HTTP/2": func(r *rig, path string, size int) (string, error) { return sendUpload(r, path, size, nil) },
}

// writeThenRead sends an upload like clients of most languages: it reads
// nothing before it has sent everything.
func writeThenRead(r *rig, path string, size int, chunked bool) (string, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return "", err
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	body, framing := bytes.Repeat([]byte("x"), size), fmt.Sprintf("Content-Length: %d\r\n\r\n", size)
	if chunked {
		const part = 1 << 16
		framing = "Transfer-Encoding: chunked\r\n\r\n"
		body = []byte(strings.Repeat(fmt.Sprintf("%x\r\n%s\r\n", part, strings.Repeat("x", part)), size/part) + "0\r\n\r\n")
	}
	if _, err := io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: x\r\n"+framing); err != nil {
		return "", err
	}
	if _, err := conn.Write(body); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	return answerOf(resp)
}

func sendUpload(r *rig, path string, size int, header http.Header) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+path, bytes.NewReader(make([]byte, size)))
	if err != nil {
		return "", err
	}
	for name, lines := range header {
		req.Header[name] = lines
	}
	resp, err := r.HTTP.Transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	return answerOf(resp)
}

func answerOf(resp *http.Response) (string, error) {
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return string(got), err
}

// TestUploadsAreAnswered checks that no answer to an upload is lost, whenever
// the upstream answers and whether it reads the body or not.
func TestUploadsAreAnswered(t *testing.T) {
	for _, server := range uploadServers {
		t.Run(server.name, func(t *testing.T) {
			upstream := server.start(t)
			change := func(c *Config) { c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{upstream}, Public: true}} }
			plain := start(t, change)
			secure, _ := overTLS(t, change)
			plain.HTTP.Transport.(*http.Transport).ExpectContinueTimeout = time.Second
			for name, send := range uploaders {
				r := plain
				if name == "HTTP/2" {
					r = secure
				}
				for _, path := range []string{"/late", "/early", "/never"} {
					t.Run(name+path, func(t *testing.T) {
						r.T = t
						var left, lost atomic.Int64
						left.Store(int64(*uploads))
						var clients sync.WaitGroup
						for range 4 {
							clients.Go(func() {
								for left.Add(-1) >= 0 {
									if got, err := send(r, path, 1<<20); err != nil || got != "hello" {
										lost.Add(1)
										t.Logf("%q, %v", got, err)
									}
								}
							})
						}
						clients.Wait()
						if n := lost.Load(); n > 0 {
							t.Errorf("%d of %d answers were lost", n, *uploads)
						}
					})
				}
			}
		})
	}
}

// TestRefusedUploadsAreAnswered checks that the gateway's own answers arrive if
// it does not read the body.
func TestRefusedUploadsAreAnswered(t *testing.T) {
	b := newBackend(t)
	for _, chunked := range []bool{false, true} {
		for path, want := range map[string]string{"/a": "401", "/public/a": "413", "/auth/refresh": "401"} {
			r := serveBehind(t, b, func(c *Config) { c.Routes[1].Limits.MaxBody = 1 << 20 })
			for range 10 {
				if _, err := writeThenRead(r, path, 8<<20, chunked); err == nil || !strings.HasPrefix(err.Error(), want) {
					t.Errorf("%s, chunked %v: %v, want %s", path, chunked, err, want)
				}
			}
		}
	}
}

// TestUploadKeepsTheConnection checks that an upload whose body was read does
// not close its connection.
func TestUploadKeepsTheConnection(t *testing.T) {
	b := newBackend(t)
	for _, r := range []*rig{serveBehind(t, b), func() *rig {
		r, _ := overTLS(t, func(c *Config) {
			c.Routes = []proxy.Route{{Path: "/public/", Upstreams: []string{b.URL}, Public: true}}
		})
		return r
	}()} {
		for range 3 {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+"/public/a", strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := r.HTTP.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if resp.Close || resp.StatusCode != http.StatusOK {
				t.Errorf("%s: got %d, %v", resp.Proto, resp.StatusCode, resp.Header)
			}
			_ = resp.Body.Close()
		}
	}
}
