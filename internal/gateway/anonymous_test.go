package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/fault"
	"wsauth/internal/gateway/tokens"
	"wsauth/internal/logintest"
	"wsauth/internal/wstest"
	"wsauth/login"
	"wsauth/token"
)

// openSilent opens a socket whose client sends nothing and does not disconnect.
func (r *rig) openSilent() (in *bufio.Reader, status int) {
	r.T.Helper()
	host := strings.TrimPrefix(r.URL, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		r.T.Fatal(err)
	}
	r.T.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "GET /chat HTTP/1.1\r\nHost: %s\r\n"+wstest.UpgradeFields+"\r\n", host)
	in = bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		r.T.Fatal(err)
	}
	return in, resp.StatusCode
}

// TestIdleFirstMessages checks that silent anonymous sockets keep others out
// when their number reaches the limit, but only until they time out. Clients
// that do not disconnect cannot extend that.
func TestIdleFirstMessages(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"in all":      func(c *Config) { c.Limits.Unauthenticated = 3 },
		"per address": func(c *Config) { c.Limits.UnauthenticatedPerAddress = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits for three seconds
			r := firstMessageRoute(t, newBackend(t), change, func(c *Config) {
				c.Routes[0].Extractors = []wsauth.Extractor{wsauth.FirstMessage{Timeout: 3 * time.Second}} // long enough for four handshakes
			})
			var idle []*bufio.Reader
			for range 3 {
				in, status := r.openSilent()
				if status != http.StatusSwitchingProtocols {
					t.Fatalf("status %d", status)
				}
				idle = append(idle, in)
			}
			if _, status := r.openSilent(); status != http.StatusTooManyRequests {
				t.Fatalf("a fourth socket: status %d", status)
			}
			for _, in := range idle {
				frame := make([]byte, 4)
				if _, err := io.ReadFull(in, frame); err != nil || frame[0] != 0x88 || int(frame[2])<<8|int(frame[3]) != 3008 {
					t.Fatalf("% x, %v; want a close frame with 3008", frame, err)
				}
			}
			for range 3 {
				if _, status := r.openSilent(); status != http.StatusSwitchingProtocols {
					t.Errorf("status %d, want 101: silent clients are still counted after their timeout", status)
				}
			}
		})
	}
}

func TestUnauthenticatedIsChecked(t *testing.T) {
	for field, change := range map[string]func(*Config){
		"Limits.Unauthenticated":           func(c *Config) { c.Limits.Unauthenticated = -1 },
		"Limits.UnauthenticatedPerAddress": func(c *Config) { c.Limits.UnauthenticatedPerAddress = -1 },
	} {
		c := Config{Tokens: tokens.Config{Keys: must(token.NewKeySet(must(token.GenerateKey(token.HS256))))}, Login: login.Config{Users: demo.Users{}}}
		if _, err := c.Check(); err != nil {
			t.Fatal(err)
		}
		change(&c)
		_, err := c.Check()
		if f, ok := errors.AsType[*fault.Fault](err); !ok || f.Field != field {
			t.Errorf("got %v, want a fault of %s", err, field)
		}
	}
}

// TestRefusalsOverHTTPBeyondTheLimit checks that the number of sockets that are
// opened only to be closed with a reason is limited, and that further refusals
// are sent over HTTP.
func TestRefusalsOverHTTPBeyondTheLimit(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		access, _ := r.Login()
		r.openEcho(access)
		r.openEcho(access) // evicts the other one, whose client does not disconnect
		r.WantClose(r.Open("", bearer(access)), 1013, "rate_limited")
		r.openEcho(access) // the first is closed now; this evicts the second
		var closed []*websocket.Conn
		for range 50 { // half of the sockets that an address may have
			closed = append(closed, r.Open("", bearer("invalid"))) // this client does not disconnect either
		}
		refused := func(status int, reason string, headers ...string) logintest.Answer {
			t.Helper()
			_, resp, err := r.Dial("", headers...)
			if err == nil {
				t.Fatalf("a socket, want %d", status)
			}
			e := r.CheckHandshake(resp)
			e.WantProblem(t, status, reason, "")
			return e
		}
		if e := refused(401, "token_invalid", bearer("invalid")); e.Header.Get("WWW-Authenticate") == "" {
			t.Error("no WWW-Authenticate")
		}
		refused(401, "token_missing")
		refused(400, "invalid_request", bearer("a"), "Cookie: access_token_cookie=b")
		if e := refused(429, "rate_limited", bearer(access)); e.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}

		for _, conn := range closed {
			conn.CloseNow()
		}
		synctest.Wait()
		r.WantClose(r.Open("", bearer("invalid")), 3000, "token_invalid")
	}, func(c *Config) { c.Limits.PerSubject = 1 })
}
