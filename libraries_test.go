package wsauth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/lxzan/gws"
)

// A behavior says how the handlers of the matrix use their socket.
type behavior struct {
	flood    bool // send messages without end
	compress bool // negotiate permessage-deflate
}

// payload is the message that a flooding handler sends. It is compressible, and
// longer than the buffers that a hijack returns.
var payload = func() []byte {
	p := make([]byte, 5000)
	for i := range p {
		p[i] = "wsauth"[i%6]
	}
	return p
}()

// A library is a WebSocket library with a handler that upgrades, and returns
// when its socket has failed.
type library struct {
	name string
	make func(t *testing.T, b behavior) http.Handler
}

var libraries = []library{
	{"coder", coderHandler},
	{"gorilla", gorillaHandler},
	{"gws", gwsHandler},
	{"ReverseProxy", proxyHandler},
}

func coderHandler(_ *testing.T, b behavior) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		options := &coder.AcceptOptions{}
		if b.compress {
			options.CompressionMode = coder.CompressionContextTakeover
		}
		conn, err := coder.Accept(w, r, options)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		if b.flood {
			ctx := conn.CloseRead(context.Background())
			for conn.Write(ctx, coder.MessageText, payload) == nil {
			}
			return
		}
		// Neither the read nor the loop looks at the request's context: the
		// guard ends handlers that ignore it, too.
		for {
			if _, _, err := conn.Read(context.Background()); err != nil {
				return
			}
		}
	})
}

func gorillaHandler(_ *testing.T, b behavior) http.Handler {
	upgrader := gorilla.Upgrader{EnableCompression: b.compress}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		if b.flood {
			for conn.WriteMessage(gorilla.TextMessage, payload) == nil {
			}
			return
		}
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				return
			}
		}
	})
}

func gwsHandler(_ *testing.T, b behavior) http.Handler {
	upgrader := gws.NewUpgrader(&gws.BuiltinEventHandler{}, &gws.ServerOption{
		PermessageDeflate: gws.PermessageDeflate{Enabled: b.compress, ServerContextTakeover: true, ClientContextTakeover: true},
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r)
		if err != nil {
			return
		}
		if !b.flood {
			conn.ReadLoop()
			return
		}
		// No ReadLoop: gws has a race between a write that fails and a loop
		// that ends.
		for conn.WriteMessage(gws.OpcodeText, payload) == nil {
		}
	})
}

// proxyHandler returns the reverse proxy of net/http in front of an unguarded
// server.
func proxyHandler(t *testing.T, b behavior) http.Handler {
	backend := httptest.NewServer(coderHandler(t, b))
	t.Cleanup(backend.Close)
	target, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Del("Origin")
	}}
}
