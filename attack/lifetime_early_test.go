package attack

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsauth"
)

// TestEndBeforeTheAnswer checks that if a socket is ended before its handler
// has answered the handshake, the handler's context ends at once, and the
// client gets the reason in an HTTP response or in a close frame.
func TestEndBeforeTheAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		policy wsauth.Refusal
		accept bool // the handler ignores the end and opens the socket
		end    *wsauth.EndError
		status int
		text   string
		code   int
		reason string
	}{
		"in HTTP":              {end: &wsauth.EndError{Reason: wsauth.TokenRevoked}, status: 401, text: `"reason":"token_revoked"`},
		"restarting":           {end: &wsauth.EndError{Reason: wsauth.Restarting}, status: 503, text: `"reason":"restarting"`},
		"own reason":           {end: &wsauth.EndError{Code: 4001, Reason: "kicked"}, status: 401, text: `"reason":"session_ended"`},
		"by close":             {policy: wsauth.RefuseClose, end: &wsauth.EndError{Reason: wsauth.TokenRevoked}, status: 101, code: 3000, reason: "token_revoked"},
		"by close, own reason": {policy: wsauth.RefuseClose, end: &wsauth.EndError{Code: 4001, Reason: "kicked"}, status: 101, code: 4001, reason: "kicked"},
		"by close, a fault":    {policy: wsauth.RefuseClose, end: &wsauth.EndError{Reason: wsauth.InternalError}, status: 500, text: `"reason":"internal_error"`},
		"the handler opens it": {accept: true, end: &wsauth.EndError{Reason: wsauth.TokenRevoked}, status: 101, code: 3000, reason: "token_revoked"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x, stop := newBubble(t, wsauth.Config{Refusal: c.policy}, func(x *bubble) http.HandlerFunc {
					return func(w http.ResponseWriter, r *http.Request) {
						w.Header().Set("X-Half-Made", "yes")
						socket := wsauth.SocketFrom(r.Context())
						socket.EndWith(c.end)
						<-r.Context().Done()
						if c.accept {
							x.handle(w, r)
						}
					}
				})
				defer stop()
				started := time.Now()
				a := x.ask(t, "", upgrade("/access", bearer(access(t)), "Sec-WebSocket-Protocol: chat"))
				defer a.conn.Close()
				if a.StatusCode != c.status || !strings.Contains(a.body, c.text) || !c.accept && a.Header.Get("X-Half-Made") != "" {
					t.Fatalf("status %d, want %d\n%s\n%s", a.StatusCode, c.status, a.head, a.body)
				}
				if c.code != 0 {
					if code, reason := a.closeFrame(t); code != c.code || reason != c.reason {
						t.Errorf("closed with %d %q", code, reason)
					}
				}
				if d := time.Since(started); d != 0 {
					t.Errorf("answered after %v", d)
				}
			})
		})
	}
}
