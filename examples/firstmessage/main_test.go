package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"wsauth/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var handlers = []string{"/coder", "/gorilla"}

// A fickleVerifier fails for the token "later", as if the keys were
// unavailable.
type fickleVerifier struct{ *token.Verifier }

func (v fickleVerifier) Verify(ctx context.Context, raw string) (*token.Claims, error) {
	if raw == "later" {
		return nil, errors.New("the keys cannot be fetched")
	}
	return v.Verifier.Verify(ctx, raw)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A rig has the handler of the example and an issuer for its tokens.
type rig struct {
	issuer *token.Issuer
	routes http.Handler
}

func newRig() rig {
	secret := []byte("0123456789abcdef0123456789abcdef")
	key := must(token.NewKey(token.HS256, secret, token.KeyOptions{}))
	verifier := must(token.NewSecretVerifier(secret))
	return rig{must(token.NewIssuer(token.IssuerConfig{Key: key})), must(routes(fickleVerifier{verifier}))}
}

func (b rig) auth(subject string) string {
	raw := must(b.issuer.Access(subject, token.Options{SessionID: "s1"})).Raw
	return fmt.Sprintf(`{"type":"auth","token":%q}`, raw)
}

// talk sends messages without waiting for replies. A message that begins with a
// zero byte is sent as a binary one. talk disconnects after the given number of
// answers; if that is negative, it waits for the end of the socket. It returns
// the answers, each without "expires_at" and what follows, and the close code.
func talk(t *testing.T, url string, messages []string, answers int) (got []string, code websocket.StatusCode) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	for _, message := range messages {
		kind := websocket.MessageText
		if strings.HasPrefix(message, "\x00") {
			kind = websocket.MessageBinary
		}
		_ = conn.Write(ctx, kind, []byte(message)) // the server may have closed the connection
	}
	for len(got) < answers || answers < 0 {
		_, answer, err := conn.Read(ctx)
		if err != nil {
			return got, websocket.CloseStatus(err)
		}
		text, _, _ := strings.Cut(string(answer), `,"expires_at":`)
		got = append(got, text)
	}
	return got, 0
}

// TestConversations checks valid and invalid conversations: P2, P3, P13 and
// P14.
func TestConversations(t *testing.T) {
	b := newRig()
	server := httptest.NewServer(b.routes)
	defer server.Close()
	const ok, untilClosed = `{"type":"auth_ok"`, -1
	ada := b.auth("ada")
	token, _ := strings.CutPrefix(ada, `{"type":"auth",`)
	tests := map[string]struct {
		send   []string
		want   []string
		closed websocket.StatusCode // 0: the socket stays open
	}{
		"hello":                     {[]string{ada, "hello", "again"}, []string{ok, "ada: hello", "ada: again"}, 0},
		"graphql-transport-ws":      {[]string{`{"type":"connection_init","payload":{` + token + `}`, "hello"}, []string{`{"type":"connection_ack"}`, "ada: hello"}, 0},
		"renewal":                   {[]string{ada, b.auth("ada"), "hello"}, []string{ok, ok, "ada: hello"}, 0},
		"binary from who is known":  {[]string{ada, "\x00hello"}, []string{ok, "ada: \x00hello"}, 0},
		"P2 binary":                 {[]string{"\x00" + ada}, nil, 1003},
		"P2 not JSON":               {[]string{"hello"}, nil, 3000},
		"P2 more than 64 KiB":       {[]string{`{"type":"auth","token":"` + strings.Repeat("x", 70_000) + `"}`}, nil, 1009},
		"P3 data before the token":  {[]string{"hello", ada, "hello"}, nil, 3000},
		"P3 data after a bad token": {[]string{`{"type":"auth","token":"x"}`, "hello", ada}, nil, 3000},
		"P13 another user":          {[]string{ada, b.auth("eve"), "hello"}, []string{ok}, 3003},
		"P14 20 at once": {
			append([]string{ada}, strings.Split(strings.Repeat(ada+"\n", 20), "\n")[:20]...),
			strings.Split(strings.Repeat(ok+"\n", 10), "\n")[:10], 1013,
		},
		"nobody can tell": {[]string{`{"type":"auth","token":"later"}`, "hello"}, nil, 1013},
	}
	for name, test := range tests {
		for _, path := range handlers {
			t.Run(name+path, func(t *testing.T) {
				answers := len(test.want)
				if test.closed != 0 {
					answers = untilClosed
				}
				got, code := talk(t, server.URL+path, test.send, answers)
				if strings.HasPrefix(name, "P14") && len(got) > len(test.want) && len(got) < len(test.send) {
					got = got[:len(test.want)] // more renewals may be allowed while the messages arrive
				}
				if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", test.want) || code != test.closed {
					t.Errorf("%q, closed with %d; want %q, %d", got, code, test.want, test.closed)
				}
			})
		}
	}
}

// TestSilence checks that a client that sends nothing is disconnected after ten
// seconds (P1).
func TestSilence(t *testing.T) {
	for _, path := range handlers {
		t.Run("P1"+path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, end := net.Pipe()
				listener := &onePipe{end: make(chan net.Conn, 1), closed: make(chan struct{})}
				listener.end <- end
				server := &http.Server{Handler: newRig().routes}
				go server.Serve(listener) //nolint:errcheck // it ends with Close
				defer server.Close()
				transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return client, nil }}
				conn, _, err := websocket.Dial(t.Context(), "http://pipe"+path, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
				if err != nil {
					t.Fatal(err)
				}
				defer conn.CloseNow()
				started := time.Now()
				_, message, err := conn.Read(t.Context())
				if took := time.Since(started); websocket.CloseStatus(err) != 3008 || took != 10*time.Second {
					t.Errorf("%q, %v after %v", message, err, took)
				}
			})
		})
	}
}

// A onePipe is a listener that accepts a single connection.
type onePipe struct {
	end    chan net.Conn
	closed chan struct{}
}

func (l *onePipe) Accept() (net.Conn, error) {
	select {
	case c := <-l.end:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *onePipe) Close() error { close(l.closed); return nil }

func (l *onePipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }
