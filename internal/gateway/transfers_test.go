package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsauth/internal/gateway/proxy"
)

// clientOver returns a client whose requests all go over conn.
func clientOver(t *testing.T, conn net.Conn, http2 bool) *http.Client {
	transport := &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		Protocols:   new(http.Protocols),
	}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// trickle writes text, one byte every 10 s. It writes the first at once.
func trickle(w io.Writer, text string, sent func()) {
	for i := range text {
		if i > 0 {
			time.Sleep(10 * time.Second)
		}
		if _, err := io.WriteString(w, text[i:i+1]); err != nil {
			return
		}
		sent()
	}
}

// transferred is long enough to outlive an access token when it trickles.
var transferred = strings.Repeat("0123456789", 20)

// TestL4_TransfersOutliveTheirToken checks that uploads and downloads of known
// length continue to their end when the token expires, and that a logout or a
// revocation ends them before and after that.
func TestL4_TransfersOutliveTheirToken(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP 1": false, "HTTP 2": true} {
		for _, direction := range []string{"upload", "download"} {
			for _, end := range []string{"expiry", "logout", "revoke", "logout after expiry", "revoke after expiry"} {
				t.Run(name+"/"+direction+"/"+end, func(t *testing.T) {
					inBubble(t, func(t *testing.T, r *rig) {
						t.Cleanup(func() { time.Sleep(time.Minute) }) // servers wait before they close
						stored := make(chan string, 1)
						conn := r.serveRoute(proxy.Route{Path: "/"}, func(w http.ResponseWriter, req *http.Request) {
							if req.Method == http.MethodGet {
								w.Header().Set("Content-Length", "200")
								trickle(w, transferred, func() { _ = http.NewResponseController(w).Flush() })
								return
							}
							if text, err := io.ReadAll(req.Body); err == nil {
								stored <- string(text)
								time.Sleep(5 * time.Second) // a slow answer
								_, _ = io.WriteString(w, "stored")
							}
						})
						access, refresh := r.Login()
						body, upload := io.Pipe()
						method, want := http.MethodGet, transferred
						if direction == "upload" {
							method, want = http.MethodPost, "stored"
							go func() {
								trickle(upload, transferred, func() {})
								_ = upload.Close()
							}()
						}
						req := must(http.NewRequestWithContext(t.Context(), method, "http://backend/", body))
						req.ContentLength = int64(len(transferred))
						if direction == "download" {
							req.Body, req.ContentLength = nil, 0
						}
						req.Header.Set("Authorization", "Bearer "+access)
						type result struct {
							status int
							text   string
							err    error
						}
						got := make(chan result, 1)
						go func() {
							resp, err := clientOver(t, conn, http2).Do(req)
							if err != nil {
								got <- result{err: err}
								return
							}
							text, err := io.ReadAll(resp.Body)
							_ = resp.Body.Close()
							got <- result{resp.StatusCode, string(text), err}
						}()

						expires := time.Unix(int64(r.Claims(access)["exp"].(float64)), 0)
						time.Sleep(5 * time.Second)
						if strings.HasSuffix(end, "expiry") {
							time.Sleep(time.Until(expires) + time.Minute)
						}
						synctest.Wait()
						if len(got) > 0 || len(stored) > 0 {
							x := <-got
							t.Fatalf("the transfer has ended: %+v %v", x, x.err)
						}
						if counts := r.g.guard.Stats(); counts.Requests != 1 {
							t.Errorf("%d requests are followed, want 1", counts.Requests)
						}
						switch {
						case strings.HasPrefix(end, "logout"):
							r.Call("POST", "/auth/logout", "", bearer(refresh))
						case strings.HasPrefix(end, "revoke"):
							if _, n, err := r.g.login.EndUser(t.Context(), "test"); n != 1 || err != nil {
								t.Errorf("%d requests ended, %v", n, err)
							}
						default:
							if x := <-got; x.status != http.StatusOK || x.text != want || x.err != nil {
								t.Errorf("%+v, want %q", x, want)
							}
							if direction == "upload" {
								if text := <-stored; text != transferred {
									t.Errorf("the upstream has %q", text)
								}
							}
							return
						}
						ended := time.Now()
						x := <-got
						_ = upload.CloseWithError(io.ErrClosedPipe)
						if time.Since(ended) > time.Second || len(stored) > 0 {
							t.Errorf("the transfer continues for %v", time.Since(ended))
						}
						if x.err == nil && (x.status != http.StatusUnauthorized || !strings.Contains(x.text, "session_ended")) {
							t.Errorf("got %+v", x)
						}
					}, func(c *Config) {
						c.Login.AccessTTL, c.Login.RefreshTTL, c.Login.SessionTTL = 20*time.Minute, 2*time.Hour, 3*time.Hour
					})
				})
			}
		}
	}
}

// TestL4_OverdueUploadIsNoLongPoll checks that an answer of unknown length ends
// if its upload has outlived the token.
func TestL4_OverdueUploadIsNoLongPoll(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		t.Cleanup(func() { time.Sleep(time.Minute) })
		ended := make(chan struct{})
		conn := r.serveRoute(proxy.Route{Path: "/"}, func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.Copy(io.Discard, req.Body)
			streamOf("application/x-ndjson", "")(w, req)
			close(ended)
		})
		access, _ := r.Login()
		body, upload := io.Pipe()
		go func() {
			trickle(upload, transferred, func() {})
			_ = upload.Close()
		}()
		req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, "http://backend/", body))
		req.ContentLength = int64(len(transferred))
		req.Header.Set("Authorization", "Bearer "+access)
		resp, err := clientOver(t, conn, false).Do(req)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
		}
		if err == nil && resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %v", resp)
		}
		<-ended
	}, func(c *Config) { c.Login.AccessTTL = 20 * time.Minute })
}
