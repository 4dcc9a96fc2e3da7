package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/internal/gateway/proxy"
)

// TestMiddlewareAroundTheGateway checks that handshakes open sockets through a
// middleware whose ResponseWriter can be unwrapped, and are answered with 500
// through one that hides the Hijacker.
func TestMiddlewareAroundTheGateway(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b, func(c *Config) {
		c.Routes = append(c.Routes, proxy.Route{Path: "/first", Upstreams: []string{b.URL}, Extractors: []wsauth.Extractor{wsauth.FirstMessage{}}})
	})
	access, _ := r.Login()
	for name, wrap := range map[string]func(http.ResponseWriter) http.ResponseWriter{
		"unwraps": func(w http.ResponseWriter) http.ResponseWriter { return unwrappingWriter{w} },
		"hides":   func(w http.ResponseWriter) http.ResponseWriter { return plainWriter{w} },
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.g.ServeHTTP(wrap(w), req) }))
			defer server.Close()
			for path, header := range map[string]http.Header{"/chat": {"Authorization": {"Bearer " + access}}, "/first": {}} {
				conn, answer, err := websocket.Dial(t.Context(), server.URL+path, &websocket.DialOptions{HTTPHeader: header})
				if name == "hides" {
					if err == nil || answer.StatusCode != http.StatusInternalServerError {
						t.Errorf("%s: %v, %v; want 500", path, answer, err)
					}
					continue
				}
				if err != nil {
					t.Fatal(path, err)
				}
				if path == "/first" {
					r.Write(conn, `{"type":"auth","token":"`+access+`"}`)
					if reply, err := r.Read(conn); err != nil || !strings.Contains(reply, "auth_ok") {
						t.Errorf("got %q, %v, want auth_ok", reply, err)
					}
				}
				r.WantEcho(conn, "hello")
				_ = conn.CloseNow()
			}
		})
	}
}

// unwrappingWriter is a ResponseWriter that http.ResponseController can unwrap.
type unwrappingWriter struct{ http.ResponseWriter }

func (w unwrappingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// plainWriter is a ResponseWriter that has no other methods.
type plainWriter struct{ http.ResponseWriter }
