package wsauth_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsauth"
	"wsauth/token"
)

// TestEndBeforeTheAnswer: where a session ends while its handler still thinks
// about the handshake, the handler knows at once, and its client is told why.
func TestEndBeforeTheAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		policy wsauth.Refusal
		accept bool // the handler does not mind, and opens the socket
		end    *wsauth.EndError
		status int
		text   string
		code   int
		reason string
	}{
		"in HTTP":              {end: wsauth.TokenRevoked.End(nil), status: 401, text: `"reason":"token_revoked"`},
		"restarting":           {end: wsauth.Restarting.End(nil), status: 503, text: `"reason":"restarting"`},
		"a word of its own":    {end: &wsauth.EndError{Code: 4001, Reason: "kicked"}, status: 401, text: `"reason":"session_ended"`},
		"by close":             {policy: wsauth.RefuseClose, end: wsauth.TokenRevoked.End(nil), status: 101, code: 3000, reason: "token_revoked"},
		"by close, own word":   {policy: wsauth.RefuseClose, end: &wsauth.EndError{Code: 4001, Reason: "kicked"}, status: 101, code: 4001, reason: "kicked"},
		"by close, a fault":    {policy: wsauth.RefuseClose, end: wsauth.InternalError.End(nil), status: 500, text: `"reason":"internal_error"`},
		"the handler opens it": {accept: true, end: wsauth.TokenRevoked.End(nil), status: 101, code: 3000, reason: "token_revoked"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				guard, err := wsauth.New(wsauth.Config{Verifier: newVerifier(t, 0), Refusal: c.policy})
				if err != nil {
					t.Fatal(err)
				}
				x, l := &target{log: new(lockedBuffer)}, newPipes()
				server := &http.Server{Handler: guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("X-Half-Made", "yes")
					socket := wsauth.SocketFrom(r.Context())
					socket.End(c.end)
					<-r.Context().Done()
					if c.accept {
						x.handle(w, r)
					}
				}))}
				go server.Serve(l) //nolint:errcheck // It ends with Close.
				defer server.Close()
				begun := time.Now()
				a := ask(t, l.dial(), upgrade("/", bearer(issue(t, token.TypeAccess, "alice", token.Options{}).Raw), "Sec-WebSocket-Protocol: chat"))
				defer a.conn.Close()
				if a.StatusCode != c.status || !strings.Contains(a.body, c.text) || !c.accept && a.Header.Get("X-Half-Made") != "" {
					t.Fatalf("status %d, want %d\n%s\n%s", a.StatusCode, c.status, a.head, a.body)
				}
				if c.code != 0 {
					if code, reason := a.closeFrame(t); code != c.code || reason != c.reason {
						t.Errorf("closed with %d %q", code, reason)
					}
				}
				if d := time.Since(begun); d != 0 {
					t.Errorf("answered after %v", d)
				}
			})
		})
	}
}
