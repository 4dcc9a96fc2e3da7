package wsclient

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth/internal/wstest"
)

// patience is how long a test waits for an event that should come at once.
const patience = 20 * time.Second

// A rig is a server of a test, and a client's config for it.
type rig struct {
	*testing.T
	config   Config
	out, err *wstest.Log
}

// newRig starts a server with plain handlers.
func newRig(t *testing.T, handlers map[string]http.HandlerFunc) *rig {
	mux := http.NewServeMux()
	for pattern, handler := range handlers {
		mux.Handle(pattern, handler)
	}
	server := httptest.NewUnstartedServer(mux)
	server.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context { // so that the kernel buffers little
		if err := errors.Join(conn.(*net.TCPConn).SetReadBuffer(64<<10), conn.(*net.TCPConn).SetWriteBuffer(64<<10)); err != nil {
			t.Error(err)
		}
		return ctx
	}
	server.Start()
	t.Cleanup(server.Close)
	target, err := ParseTarget(server.URL+"/ws", "/auth")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, out: new(wstest.Log), err: new(wstest.Log)}
	r.config = Config{
		Target:     target,
		Timeout:    patience,
		MaxMessage: 1 << 20,
		Report:     &Reporter{Out: r.out, Err: r.err},
	}
	return r
}

// run connects.
func (r *rig) run() error {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	return r.runIn(ctx)
}

func (r *rig) runIn(ctx context.Context) error {
	r.Helper()
	client, err := New(r.config)
	if err != nil {
		r.Fatal(err)
	}
	return client.Run(ctx)
}

// wantEnd checks how the socket was closed.
func (r *rig) wantEnd(err error, by Side, code int, text string) {
	r.Helper()
	end, ok := errors.AsType[*End](err)
	if !ok || end.By != by || end.Code != code || !strings.Contains(err.Error(), text) {
		r.Errorf("%v; want %s %d %q", err, by, code, text)
	}
}

// onSocket returns a handler that accepts a socket, and returns when f does.
func onSocket(f func(ctx context.Context, conn *websocket.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		conn.SetReadLimit(-1)
		f(r.Context(), conn)
	}
}

// answer returns a handler that answers with JSON.
func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // discard the body
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // fails if the client has left
	}
}

const (
	firstAccess  = "access-1.secretsecret"
	firstRefresh = "refresh-1.secretsecret"
	secondAccess = "access-2.secretsecret"
)

// logins returns the endpoints of a login whose access token lives for the
// given number of seconds.
func logins(seconds string) map[string]http.HandlerFunc {
	const jsonType = "application/json"
	return map[string]http.HandlerFunc{
		"POST /auth/login":   answer(200, jsonType, `{"access_token":"`+firstAccess+`","refresh_token":"`+firstRefresh+`","token_type":"Bearer","expires_in":`+seconds+`}`),
		"POST /auth/refresh": answer(200, jsonType, `{"access_token":"`+secondAccess+`","refresh_token":"refresh-2.secretsecret","token_type":"Bearer","expires_in":900}`),
		"POST /auth/ticket":  answer(200, jsonType, `{"ticket":"ticket-secretsecret","expires_in":30}`),
		"POST /auth/logout":  answer(204, jsonType, ""),
	}
}
