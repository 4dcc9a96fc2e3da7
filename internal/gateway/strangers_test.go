package gateway

import (
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"
)

// TestRefusalsOverHTTPWhereStrangersAreTooMany checks that the number of
// sockets that are opened only to be closed with a reason is limited, and that
// further refusals are sent over HTTP.
func TestRefusalsOverHTTPWhereStrangersAreTooMany(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		access, _ := r.login()
		r.echoes(access)
		r.echoes(access) // pushes the other one out, which does not go
		r.wantClose(r.open("", bearer(access)), 1013, "rate_limited")
		r.echoes(access) // the first is gone by now; this pushes out the second
		var closed []*websocket.Conn
		for range 50 { // half of the places of an address
			closed = append(closed, r.open("", bearer("invalid"))) // it does not go either
		}
		refused := func(status int, reason string, headers ...string) exchange {
			t.Helper()
			_, resp, err := r.dial("", headers...)
			if err == nil {
				t.Fatalf("a socket, want %d", status)
			}
			e := checkSocketDocumented(t, resp)
			wantProblem(t, e, status, reason, "")
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
		r.wantClose(r.open("", bearer("invalid")), 3000, "token_invalid")
	}, func(c *Config) { c.Limits.PerSubject = 1 })
}
