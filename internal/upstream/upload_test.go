package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestUploadsAreAnswered checks that a response arrives whole, whenever the
// server sends it and whether or not it reads the body.
func TestUploadsAreAnswered(t *testing.T) {
	const size = 4 << 20
	const head, body = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "hello"
	read := func(n int64) func(io.Writer, *http.Request) {
		return func(_ io.Writer, r *http.Request) { _, _ = io.CopyN(io.Discard, r.Body, n) }
	}
	write := func(text string) func(io.Writer, *http.Request) {
		return func(w io.Writer, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	pause := func(io.Writer, *http.Request) { time.Sleep(time.Millisecond) }
	for name, steps := range map[string][]func(io.Writer, *http.Request){
		"late":                 {read(size), write(head + body)},
		"late, in two":         {read(size), write(head), pause, write(body)},
		"head early":           {write(head), read(size), write(body)},
		"half early":           {read(size / 2), write(head), read(size / 2), write(body)},
		"early":                {write(head + body), read(size)},
		"early and gone":       {write(head + body)},
		"early in two":         {write(head), pause, write(body)},
		"half read and gone":   {read(size / 2), write(head + body)},
		"half read, two, gone": {read(size / 2), write(head), pause, write(body)},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var conns sync.WaitGroup
			defer conns.Wait()
			defer l.Close()
			conns.Go(func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					conns.Go(func() {
						defer conn.Close()
						in := bufio.NewReader(conn)
						for {
							r, err := http.ReadRequest(in)
							if err != nil {
								return
							}
							for _, step := range steps {
								step(conn, r)
							}
							if n, _ := r.Body.Read(make([]byte, 1)); n > 0 {
								return // closing now resets the connection
							}
						}
					})
				}
			})
			p := newPool(t, "http://"+l.Addr().String())
			for i := range 30 {
				r := httptest.NewRequest(http.MethodPost, "http://x/", nil)
				r.Body, r.ContentLength = io.NopCloser(io.LimitReader(zeros{}, size)), size
				resp, err := p.RoundTrip(r)
				if err != nil {
					t.Fatalf("round %d: %v", i, err)
				}
				got, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || string(got) != body {
					t.Fatalf("round %d: %q, %v", i, got, err)
				}
			}
			p.Close()
		})
	}
}

// A countedBody counts how often it is closed, and fails the test if it is read
// afterwards.
type countedBody struct {
	t  *testing.T
	mu sync.Mutex
	io.Reader
	closed int
	done   chan struct{}
}

func (b *countedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed > 0 {
		b.t.Error("read after Close")
	}
	return b.Reader.Read(p)
}

func (b *countedBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed++; b.closed == 1 {
		close(b.done)
	}
	return nil
}

// TestBodiesAreClosed checks that each body is eventually closed, and the
// server that gets it after another could not be reached gets all of it.
func TestBodiesAreClosed(t *testing.T) {
	got := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		all, _ := io.ReadAll(r.Body)
		got <- string(all)
	}))
	defer server.Close()
	const nobody = "http://127.0.0.1:1"
	for name, addresses := range map[string][]string{
		"reached":        {server.URL},
		"the second":     {nobody, server.URL},
		"none":           {nobody},
		"none of them":   {nobody, "http://127.0.0.2:1"},
		"no socket file": {"unix:/nonexistent/socket"},
	} {
		body := &countedBody{t: t, Reader: strings.NewReader("hello"), done: make(chan struct{})}
		r := httptest.NewRequest(http.MethodPost, "http://x/", nil)
		r.Body, r.ContentLength = body, 5
		p := newPool(t, addresses...)
		resp, err := p.RoundTrip(r)
		if err == nil {
			_ = resp.Body.Close()
			if text := <-got; text != "hello" {
				t.Errorf("%s: the server got %q", name, text)
			}
		}
		if reached := addresses[len(addresses)-1] == server.URL; reached != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		<-body.done
	}
}

// TestStalledUploads checks that the pool gives up on a server that neither
// reads nor answers, but not on one that has answered or whose client is slow.
func TestStalledUploads(t *testing.T) {
	const within = time.Minute
	ask := func(t *testing.T, body io.Reader, serve func(net.Conn)) (*http.Response, error) {
		near, far := net.Pipe()
		t.Cleanup(func() { _ = far.Close() })
		p, err := New(Config{Addresses: []string{"http://app"}, Connect: time.Second, Response: within, Logger: slog.New(slog.DiscardHandler),
			Dial: func(context.Context) (net.Conn, error) { return near, nil }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		go serve(far)
		r := httptest.NewRequest(http.MethodPost, "http://x/", nil).WithContext(t.Context())
		r.Body, r.ContentLength = io.NopCloser(body), -1
		return p.RoundTrip(r)
	}
	t.Run("nothing is read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			started := time.Now()
			_, err := ask(t, zeros{}, func(conn net.Conn) { _, _ = http.ReadRequest(bufio.NewReader(conn)) })
			if took := time.Since(started); !errors.Is(err, ErrTimeout) || took != within {
				t.Errorf("%v after %v", err, took)
			}
		})
	})
	t.Run("the client is slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			resp, err := ask(t, &slow{parts: 3, every: 2 * within}, func(conn net.Conn) {
				r, _ := http.ReadRequest(bufio.NewReader(conn))
				n, _ := io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nN: "+strconv.FormatInt(n, 10)+"\r\n\r\n")
			})
			if err != nil || resp.Header.Get("N") != "3" {
				t.Fatalf("got %v, %v", resp, err)
			}
			_ = resp.Body.Close()
		})
	})
	t.Run("answered", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			resp, err := ask(t, zeros{}, func(conn net.Conn) {
				_, _ = http.ReadRequest(bufio.NewReader(conn))
				time.Sleep(within / 2)
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
				time.Sleep(3 * within)
				_, _ = io.WriteString(conn, "hello")
				_ = conn.Close()
			})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(resp.Body); string(got) != "hello" || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, "hello")
			}
			_ = resp.Body.Close()
		})
	})
}

// slow is a body that arrives slowly.
type slow struct {
	parts int
	every time.Duration
}

func (s *slow) Read(p []byte) (int, error) {
	if s.parts == 0 {
		return 0, io.EOF
	}
	time.Sleep(s.every)
	s.parts--
	return copy(p, "x"), nil
}
