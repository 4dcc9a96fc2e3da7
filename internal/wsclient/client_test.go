package wsclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestMessagesAreShown(t *testing.T) {
	socket := map[string]http.HandlerFunc{"/ws": onSocket(func(ctx context.Context, conn *websocket.Conn) {
		for _, m := range []message{{false, []byte("\x1b[31mred\tü\n")}, {true, []byte{0, 27}}, {false, nil}} {
			kind := websocket.MessageText
			if m.binary {
				kind = websocket.MessageBinary
			}
			if err := conn.Write(ctx, kind, m.data); err != nil {
				return
			}
		}
		_ = conn.Close(websocket.StatusNormalClosure, "done") // the client reports it
	})}
	for _, c := range []struct {
		json, escape bool
		want         string
	}{
		{false, false, "\x1b[31mred\tü\n\n(binary, 2 bytes: 001b)\n\n"},
		{false, true, "\\u001b[31mred\tü\n\n(binary, 2 bytes: 001b)\n\n"},
	} {
		r := newRig(t, socket)
		r.config.Report.Escape = c.escape
		if err := r.run(); err != nil {
			t.Error(err)
		}
		if got := r.out.String(); got != c.want {
			t.Errorf("%+v: got %q, want %q", c, got, c.want)
		}
		r.err.WaitFor(t, "closed by the server: 1000 done\n")
	}
	r := newRig(t, socket)
	r.config.Report.JSON = true
	if err := r.run(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		`"event":"message","type":"text","data":"\u001b[31mred\tü\n"}`,
		`"event":"message","type":"binary","base64":"ABs="}`,
		`"event":"message","type":"text","data":""}`,
		`"event":"closed","by":"server","code":1000,"reason":"done","text":"normal closure"}`,
	} {
		if !strings.Contains(r.out.String(), want) {
			t.Errorf("no %s in %s", want, r.out)
		}
	}
	if r.err.String() != "" {
		t.Errorf("on standard error: %s", r.err)
	}
}

func TestEnds(t *testing.T) {
	closes := func(code websocket.StatusCode, reason string) func(context.Context, *websocket.Conn) {
		return func(_ context.Context, conn *websocket.Conn) { _ = conn.Close(code, reason) }
	}
	for name, c := range map[string]struct {
		socket func(context.Context, *websocket.Conn)
		by     Side
		code   int
		text   string
	}{
		"ended":        {closes(3000, "session_ended"), ByServer, 3000, "session_ended\nit means:   The session has ended\nwhat to do: refresh or log in, then reconnect"},
		"application":  {closes(4001, "\x1b[2Jbye"), ByServer, 4001, `4001 \u001b[2Jbye` + "\nit means:   defined by the application\nwhat to do: reconnect"},
		"unknown word": {closes(3003, "new_word"), ByServer, 3003, "new_word\nwhat to do: do not reconnect automatically"},
		"going away":   {closes(1001, ""), ByServer, 1001, "1001\nit means:   the peer is going away\nwhat to do: reconnect after a random wait"},
		"broken":       {func(context.Context, *websocket.Conn) {}, ByNetwork, 1006, "without a close frame: 1006\nit means:   the connection failed, or was never opened\nwhat to do: reconnect"},
		"too long": {func(ctx context.Context, conn *websocket.Conn) {
			_ = conn.Write(ctx, websocket.MessageText, make([]byte, 1<<20+1)) // the client closes
			_, _, _ = conn.Read(ctx)
		}, ByClient, 1009, "longer than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, map[string]http.HandlerFunc{"/ws": onSocket(c.socket)})
			r.wantEnd(r.run(), c.by, c.code, c.text)
		})
	}
}

func TestCloseWithoutACodeIsNormal(t *testing.T) {
	r := newRig(t, map[string]http.HandlerFunc{"/ws": onSocket(func(_ context.Context, conn *websocket.Conn) { _ = conn.Close(websocket.StatusNoStatusRcvd, "") })})
	if err := r.run(); err != nil {
		t.Error(err)
	}
}

// TestEchoOfMuchInput checks that the client reads while it writes, because a
// server that echoes blocks until the client reads.
func TestEchoOfMuchInput(t *testing.T) {
	r := newRig(t, map[string]http.HandlerFunc{"/ws": onSocket(func(ctx context.Context, conn *websocket.Conn) {
		for {
			kind, data, err := conn.Read(ctx)
			if err != nil || conn.Write(ctx, kind, data) != nil {
				return
			}
		}
	})})
	const many = 64
	lines := make(chan Line)
	r.config.Input = lines
	r.config.Count = many
	line := strings.Repeat("0123456789abcdef", 8<<10) // 128 KiB: together they exceed the kernel's buffers
	done := make(chan struct{})
	defer close(done)
	go func() {
		for range many {
			select {
			case lines <- Line{Text: line}:
			case <-done:
				return
			}
		}
	}()
	if err := r.run(); err != nil {
		t.Error(err)
	}
	if got := len(r.out.String()); got != many*(len(line)+1) {
		t.Errorf("%d bytes were echoed", got)
	}
}

// keepOpen returns a handler that keeps a socket open until the client closes
// it, and reports how it was closed.
func keepOpen(ends chan<- error) http.HandlerFunc {
	return onSocket(func(ctx context.Context, conn *websocket.Conn) {
		_, _, err := conn.Read(ctx)
		ends <- err
	})
}

func TestInput(t *testing.T) {
	for name, c := range map[string]struct {
		line Line
		want string
	}{
		"done":     {Line{Done: true}, ""},
		"broken":   {Line{Err: errors.New("no more")}, "no more"},
		"not text": {Line{Text: "\xff"}, "not UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			ends := make(chan error, 1)
			r := newRig(t, map[string]http.HandlerFunc{"/ws": keepOpen(ends)})
			lines := make(chan Line, 1)
			lines <- c.line
			r.config.Input = lines
			err := r.run()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Error(err)
			}
			if end := <-ends; websocket.CloseStatus(end) != websocket.StatusNormalClosure {
				t.Error(end)
			}
		})
	}
}

func TestInterrupt(t *testing.T) {
	ends, began := make(chan error, 1), make(chan struct{})
	handlers := logins("900")
	handlers["/ws"] = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "ticket=ticket-secretsecret" {
			t.Errorf("query %s", r.URL.RawQuery)
		}
		close(began)
		keepOpen(ends)(w, r)
	}
	r := newRig(t, handlers)
	r.config.User, r.config.Password, r.config.Via = "ada", "x", Via{InTicket, "ticket"}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-began
		r.err.WaitFor(t, "open after")
		cancel()
	}()
	if err := r.runIn(ctx); err != nil {
		t.Error(err)
	}
	if end := <-ends; websocket.CloseStatus(end) != websocket.StatusNormalClosure {
		t.Error(end)
	}
	r.err.WaitFor(t, "logged in as ada; the access token is valid for 15m0s and will be renewed\n")
	r.err.WaitFor(t, "closed by this client: 1000\nlogged out\n")
	if strings.Contains(r.err.String(), "secret") {
		t.Error(r.err)
	}
}

// TestR6_RepeatedSecrets checks that a credential that a server repeats is not
// printed.
func TestR6_RepeatedSecrets(t *testing.T) {
	handlers := logins("900")
	handlers["/ws"] = func(w http.ResponseWriter, r *http.Request) {
		answer(403, "application/problem+json", fmt.Sprintf(`{"detail":"not %s","reason":"r-%s"}`, r.Header.Get("Authorization"), r.Header.Get("Authorization")))(w, r)
	}
	handlers["/close"] = func(w http.ResponseWriter, r *http.Request) {
		onSocket(func(_ context.Context, conn *websocket.Conn) {
			_ = conn.Close(3003, r.Header.Get("Authorization"))
		})(w, r)
	}
	handlers["/protocol"] = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusSwitchingProtocols)
	}
	for _, path := range []string{"/ws", "/close", "/protocol"} {
		for _, json := range []bool{false, true} {
			r := newRig(t, handlers)
			r.config.Target.Socket.Path = path
			r.config.Report.JSON = json
			r.config.User, r.config.Via = "ada", Via{InHeader, "Authorization"}
			err := r.run()
			if err == nil {
				t.Errorf("%s: no error", path)
				continue
			}
			all := err.Error() + r.out.String() + r.err.String()
			if strings.Contains(all, "secret") || !strings.Contains(all, map[string]string{"/ws": "403 Forbidden", "/close": "3003", "/protocol": "violates RFC 6455"}[path]) {
				t.Errorf("%s: got %s", path, all)
			}
		}
	}
}

func TestRenewal(t *testing.T) {
	for name, c := range map[string]struct {
		refresh http.HandlerFunc // replaces the successful one
		want    string
	}{
		"well":    {nil, "session renewed: the access token is valid for 15m0s\n"},
		"refused": {answer(401, "application/problem+json", `{"detail":"gone","reason":"session_ended"}`), "session not renewed: the server refused the refresh: 401 Unauthorized, session_ended; it means:   gone; what to do: refresh or log in, then reconnect; the socket stays open until its token expires\n"},
		"not now": {answer(503, "text/plain", "later"), "session not renewed: the server refused the refresh: 503 Service Unavailable; it means:   later; what to do: reconnect after a random wait\n"},
	} {
		t.Run(name, func(t *testing.T) {
			handlers := logins("1")
			handlers["/ws"] = onSocket(func(ctx context.Context, conn *websocket.Conn) { _, _, _ = conn.Read(ctx) })
			if c.refresh != nil {
				handlers["POST /auth/refresh"] = c.refresh
			}
			r := newRig(t, handlers)
			r.config.User, r.config.Via = "ada", Via{InHeader, "Authorization"}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				r.err.WaitFor(t, c.want)
				cancel()
			}()
			if err := r.runIn(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFirstMessageWithoutAnAnswer(t *testing.T) {
	ends := make(chan error, 1)
	r := newRig(t, map[string]http.HandlerFunc{"/ws": onSocket(func(ctx context.Context, conn *websocket.Conn) {
		_, _, _ = conn.Read(ctx)
		_, _, err := conn.Read(ctx)
		ends <- err
	})})
	r.config.Token, r.config.Via, r.config.Timeout = "secretsecret", Via{InFirstMessage, "auth"}, time.Second
	if err := r.run(); err == nil || !strings.Contains(err.Error(), "did not answer the first message in 1s") {
		t.Fatal(err) // if the handshake took too long, there is no end
	}
	if err := <-ends; err == nil {
		t.Error("got another message")
	}
}

// TestFirstMessageOfAnApplication checks that a server may accept the token
// without answering it. The first message of its application is then printed
// like any other.
func TestFirstMessageOfAnApplication(t *testing.T) {
	for reply, want := range map[string]string{
		"welcome": "welcome\nmore\n",
		`{"type":"auth_ok","expires_at":1795843794}`: "more\n",
		`{"type":"connection_ack"}`:                  "more\n",
	} {
		r := newRig(t, map[string]http.HandlerFunc{"/ws": onSocket(func(ctx context.Context, conn *websocket.Conn) {
			_, first, err := conn.Read(ctx)
			if err != nil || string(first) != `{"type":"auth","token":"secretsecret"}` {
				t.Errorf("got %s, %v, want %q", first, err, `{"type":"auth","token":"secretsecret"}`)
			}
			for _, text := range []string{reply, "more"} {
				if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
					t.Error(err)
				}
			}
			_ = conn.Close(websocket.StatusNormalClosure, "")
		})})
		r.config.Token, r.config.Via = "secretsecret", Via{InFirstMessage, "auth"}
		if err := r.run(); err != nil {
			t.Error(err)
		}
		if got := r.out.String(); got != want {
			t.Errorf("%s: got %q, want %q", reply, got, want)
		}
	}
}
