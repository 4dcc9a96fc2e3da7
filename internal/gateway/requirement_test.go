package gateway

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"wsauth"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/proxy"
	"wsauth/token"
)

// TestRequirementOfARoute checks which clients each requirement admits, with a
// plain request and with a socket. Refused requests never reach the upstream.
func TestRequirementOfARoute(t *testing.T) {
	b := newBackend(t)
	r := start(t, func(c *Config) {
		for _, q := range []wsauth.Requirement{wsauth.Access, wsauth.Optional, wsauth.Refresh, wsauth.Fresh} {
			c.Routes = append(c.Routes, proxy.Route{Path: "/" + q.String(), Upstreams: []string{b.URL}, Requirement: q})
		}
	})
	fresh, first := r.Login()
	stale, refresh := r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(first)))
	credentials := map[string]string{"nobody": "", "fresh": fresh, "stale": stale, "refresh": refresh, "garbage": "a.b.c"}
	for path, refusals := range map[string]map[string]string{ // other clients are admitted
		"/access":   {"nobody": "token_missing", "refresh": "wrong_token_type", "garbage": "token_invalid"},
		"/optional": {"refresh": "wrong_token_type", "garbage": "token_invalid"},
		"/refresh":  {"nobody": "token_missing", "fresh": "wrong_token_type", "stale": "wrong_token_type", "garbage": "token_invalid"},
		"/fresh":    {"nobody": "token_missing", "stale": "fresh_token_required", "refresh": "wrong_token_type", "garbage": "token_invalid"},
	} {
		for who, raw := range credentials {
			for what, lines := range map[string][]string{"plain": {"Connection: close"}, "socket": upgradeLines} {
				if raw != "" {
					lines = append(slices.Clone(lines), bearer(raw))
				}
				n := b.count()
				e := r.callUnchanged("GET "+path+" HTTP/1.1", lines...)
				name := path + " " + who + " " + what
				if reason := refusals[who]; reason != "" {
					e.WantProblem(t, wsauth.Reason(reason).Outcome().Status, reason, "")
					if b.count() != n {
						t.Errorf("%s: a refused request reaches the upstream", name)
					}
					continue
				}
				if want := map[string]int{"plain": http.StatusOK, "socket": http.StatusSwitchingProtocols}[what]; e.StatusCode != want || b.count() != n+1 {
					t.Errorf("%s: %d %s, want %d", name, e.StatusCode, e.Text, want)
					continue
				}
				if user, told := b.last().Header["X-User"]; told == (who == "nobody") || told && user[0] != "test" {
					t.Errorf("%s: the upstream gets the user %q", name, user)
				}
			}
		}
	}
}

// TestR9_AnonymousClientsHaveNoIdentity checks that an anonymous client of an
// optional route cannot send identity headers to the upstream, neither those of
// this route nor those of another.
func TestR9_AnonymousClientsHaveNoIdentity(t *testing.T) {
	b := newBackend(t)
	r := start(t, func(c *Config) {
		c.Tokens.Keys = must(token.NewKeySet(must(token.GenerateKey(token.ES256))))
		c.Routes = []proxy.Route{
			{Path: "/quick", Upstreams: []string{b.URL}, Requirement: wsauth.Optional},
			{Path: "/signed", Upstreams: []string{b.URL}, Requirement: wsauth.Optional, Headers: map[string]string{"X-Mail": "email"}, Assertion: "X-Who"},
		}
	})
	r.awaitReady()
	spoofs := []string{"X-User: mallory", "X_User: mallory", "x.user: mallory", "X-Mail: mallory", "x_mail: mallory", "X-Who: mallory", "X_WHO: mallory"}
	for path, quick := range map[string]bool{"/quick": true, "/signed": false} {
		head := "GET " + path + " HTTP/1.1\r\n" + "Host: app.example\r\n" + strings.Join(slices.Concat(upgradeLines, spoofs), "\r\n") + "\r\n\r\n"
		if request := front.ReadHandshake([]byte(head)); request == nil || isQuick(r.g, request) != quick {
			t.Errorf("%s: quick is %t, want %t", path, !quick, quick)
		}
		for what, lines := range map[string][]string{"plain": {"Connection: close"}, "socket": upgradeLines} {
			n := b.count()
			e := r.callUnchanged("GET "+path+" HTTP/1.1", slices.Concat(lines, spoofs)...)
			if e.StatusCode >= http.StatusBadRequest || b.count() != n+1 {
				t.Errorf("%s %s: got %d %s", path, what, e.StatusCode, e.Text)
				continue
			}
			for name, values := range b.last().Header {
				if strings.Contains(strings.Join(values, " "), "mallory") || slices.Contains([]string{"X-User", "X-Mail", "X-Who"}, name) {
					t.Errorf("%s %s: %s: %s arrives", path, what, name, values)
				}
			}
		}
	}
}
