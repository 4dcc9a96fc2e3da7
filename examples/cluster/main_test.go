package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"wsauth/internal/testenv"
)

// A rig is the example, and a client of its load balancer.
type rig struct {
	t       *testing.T
	cluster *cluster
	url     string
}

func start(t *testing.T) *rig {
	t.Helper()
	testenv.NeedProgram(t, "redis-server")
	c, err := startCluster(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	server := httptest.NewServer(newBalancer(c))
	t.Cleanup(server.Close)
	return &rig{t, c, server.URL}
}

// post sends JSON with an access or refresh token, or without one, and decodes
// the answer into v.
func (r *rig) post(path string, body any, token string, v any) int {
	r.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		r.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+path, bytes.NewReader(text))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err = io.ReadAll(answer.Body)
	if err == nil && v != nil && answer.StatusCode == http.StatusOK {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		r.t.Fatalf("%s: %v, %s", path, err, text)
	}
	return answer.StatusCode
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// open opens a socket at a node, and waits for the first message.
func (r *rig) open(node, access string) *websocket.Conn {
	r.t.Helper()
	var answer struct{ Ticket string }
	if status := r.post("/auth/ticket", map[string]string{"path": "/ws"}, access, &answer); status != http.StatusOK {
		r.t.Fatalf("ticket: status %d, want 200", status)
	}
	conn, _, err := websocket.Dial(r.t.Context(), strings.Replace(r.url, "http", "ws", 1)+"/node/"+node+"/ws?ticket="+answer.Ticket, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.CloseNow() })
	r.next(conn, "welcome")
	return conn
}

// next reads a message, and checks its type.
func (r *rig) next(conn *websocket.Conn, want string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	var message struct{ Type string }
	if err := wsjson.Read(ctx, conn, &message); err != nil || message.Type != want {
		r.t.Fatalf("message %q, %v, want %q", message.Type, err, want)
	}
}

// closed waits until the server closes a socket, and returns why.
func (r *rig) closed(conn *websocket.Conn) (websocket.StatusCode, string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	_, _, err := conn.Read(ctx)
	end, _ := errors.AsType[websocket.CloseError](err)
	return end.Code, end.Reason
}

// TestCluster checks what the page shows. A ticket from any node opens a socket
// at every node, and a refresh renews all sockets. If a node is killed, only
// its own sockets end. A logout closes the others.
func TestCluster(t *testing.T) {
	r := start(t)
	var login tokens
	if status := r.post("/auth/login", map[string]string{"username": "test", "password": "test"}, "", &login); status != http.StatusOK {
		t.Fatalf("login: status %d, want 200", status)
	}
	var open []*websocket.Conn
	for _, node := range []string{"1", "2", "3"} {
		open = append(open, r.open(node, login.Access))
	}
	if status := r.post("/auth/refresh", nil, login.Refresh, &login); status != http.StatusOK {
		t.Fatalf("refresh: status %d, want 200", status)
	}
	for _, conn := range open {
		r.next(conn, "renewed")
	}
	if status := r.post("/nodes/2/kill", nil, "", nil); status != http.StatusOK {
		t.Fatalf("kill: status %d, want 200", status)
	}
	if code, reason := r.closed(open[1]); reason != "" {
		t.Errorf("the socket of a killed node was closed with %d %q", code, reason)
	}
	again := r.open("3", login.Access)
	if status := r.post("/nodes/2/start", nil, "", nil); status != http.StatusOK {
		t.Fatalf("start: status %d, want 200", status)
	}
	late := r.open("2", login.Access)
	if status := r.post("/auth/logout", nil, login.Access, nil); status != http.StatusOK && status != http.StatusNoContent {
		t.Fatalf("logout: status %d", status)
	}
	for i, conn := range []*websocket.Conn{open[0], open[2], again, late} {
		if code, reason := r.closed(conn); code != 3000 || reason != "session_ended" {
			t.Errorf("socket %d: closed with %d %q, want 3000 session_ended", i, code, reason)
		}
	}
}

// TestPageOfAnotherOrigin checks that a foreign page cannot kill a node.
func TestPageOfAnotherOrigin(t *testing.T) {
	b := newBalancer(&cluster{nodes: [nodes]*node{{}, {}, {}}})
	for path, want := range map[string]int{"/nodes/1/kill": http.StatusForbidden, "/nodes/4/kill": http.StatusNotFound, "/nodes/x/start": http.StatusNotFound} {
		w := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodPost, path, nil)
		request.Header.Set("Sec-Fetch-Site", "cross-site")
		b.ServeHTTP(w, request)
		if w.Code != want {
			t.Errorf("%s: status %d, want %d", path, w.Code, want)
		}
	}
}
