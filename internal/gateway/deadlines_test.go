package gateway

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wsauth/internal/gateway/proxy"
)

// TestBodyOutlivesItsAnswer checks that the gateway survives a body that the
// transport still reads after the handler has returned, because the upstream
// answered early. Setting a deadline for it then panics over HTTP/2.
func TestBodyOutlivesItsAnswer(t *testing.T) {
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	t.Cleanup(b.Close)
	r, _ := overTLS(t, func(c *Config) { c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Public: true}} })
	var clients sync.WaitGroup
	var answered atomic.Int64
	for range 8 {
		clients.Go(func() {
			for range 25 {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				body := io.LimitReader(zeros{}, 4<<20)
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+"/", body)
				if err != nil {
					t.Error(err)
				}
				if resp, err := r.HTTP.Do(req); err == nil {
					resp.Body.Close()
					answered.Add(1)
				}
				cancel()
			}
		})
	}
	clients.Wait()
	if n := answered.Load(); n == 0 {
		t.Error("no request was answered")
	}
	if e := r.Call("GET", "/livez", ""); e.StatusCode != http.StatusOK || e.ProtoMajor != 2 {
		t.Errorf("got %d over %s", e.StatusCode, e.Proto)
	}
}

// TestClientsLeaveBeforeTheyAreAnswered checks that no deadline is set after
// the handler of a request has returned, even if the client leaves at that
// moment.
func TestClientsLeaveBeforeTheyAreAnswered(t *testing.T) {
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	t.Cleanup(b.Close)
	r, _ := overTLS(t, func(c *Config) { c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, Public: true}} })
	var clients sync.WaitGroup
	var answered atomic.Int64
	for i := range 8 {
		clients.Go(func() {
			for j := range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+(i*200+j)%20)*100*time.Microsecond)
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL+"/", nil)
				if err != nil {
					t.Error(err)
				}
				if resp, err := r.HTTP.Do(req); err == nil {
					resp.Body.Close()
					answered.Add(1)
				}
				cancel()
			}
		})
	}
	clients.Wait()
	if answered.Load() == 8*200 {
		t.Error("no client left")
	}
	for _, path := range []string{"/livez", "/"} {
		resp, err := r.HTTP.Get(r.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		if _ = resp.Body.Close(); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: got %s, want 200", path, resp.Status)
		}
	}
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
