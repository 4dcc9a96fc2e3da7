package attack

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"wsauth/internal/gateway"
	"wsauth/internal/gateway/proxy"
)

const asJSON = "Content-Type: application/json"

// A browser holds the cookies and CSRF value of a login, as header lines.
type browser struct {
	cookies, csrf, refreshCSRF string
}

// logIn logs in the demo user with cookies.
func (x *gatewayTarget) logIn(t *testing.T) browser {
	t.Helper()
	a := x.do(t, "POST", "/auth/login", `{"username":"test","password":"test","cookies":true}`, asJSON)
	var values struct {
		CSRF        string `json:"csrf_token"`
		RefreshCSRF string `json:"refresh_csrf_token"`
	}
	if err := json.Unmarshal([]byte(a.body), &values); err != nil || values.RefreshCSRF == "" {
		t.Fatalf("login: %d %s", a.StatusCode, a.body)
	}
	var cookies []string
	for _, c := range a.Cookies() {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	return browser{"Cookie: " + strings.Join(cookies, "; "), csrf(values.CSRF), csrf(values.RefreshCSRF)}
}

// wantReason checks the status and the reason of a refusal.
func wantReason(t *testing.T, a *answer, status int, reason string) {
	t.Helper()
	if a.StatusCode != status || !strings.Contains(a.body, `"reason":"`+reason+`"`) {
		t.Errorf("got %d %s, want %d %s", a.StatusCode, a.body, status, reason)
	}
}

// TestC17_RequestsOfOtherSites checks that every endpoint that changes
// something refuses requests of other sites.
func TestC17_RequestsOfOtherSites(t *testing.T) {
	x := newGatewayOverTLS(t, gateway.Config{}, respond)
	alice := x.logIn(t)
	requests := map[string]string{
		"POST /auth/login":              "X-None: none",
		"POST /auth/refresh":            alice.refreshCSRF,
		"POST /auth/fresh":              alice.csrf,
		"POST /auth/ticket":             alice.csrf,
		"POST /auth/logout":             alice.csrf,
		"POST /auth/logout-everywhere":  alice.csrf,
		"DELETE /auth/sessions/{sid}":   alice.csrf,
		"POST /auth/backchannel-logout": "", // providers send these, without cookies
		"POST /auth/events":             "",
	}
	for _, endpoint := range endpoints(t) {
		line, ok := requests[endpoint]
		if !ok {
			t.Errorf("%s is not tested", endpoint)
		}
		if line == "" {
			continue
		}
		method, path, _ := strings.Cut(endpoint, " ")
		for _, header := range []string{"Origin: " + evil, "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"} {
			a := x.do(t, method, path, `{"username":"test","password":"test"}`, asJSON, alice.cookies, line, header)
			wantReason(t, a, http.StatusForbidden, "origin_not_allowed")
		}
		a := x.do(t, "OPTIONS", path, "", preflight(evil, method)...) // C18
		if a.StatusCode != http.StatusMethodNotAllowed || allowedOrigin(a) != "" || a.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("a preflight of %s: %d %v", path, a.StatusCode, a.Header)
		}
	}
}

// TestC13_C15_CSRFOfAnotherLogin checks that the CSRF value of an earlier login
// of the same user is refused.
func TestC13_C15_CSRFOfAnotherLogin(t *testing.T) {
	x := newGatewayOverTLS(t, gateway.Config{}, respond)
	before, now := x.logIn(t), x.logIn(t)
	ticket := func(csrf string) *answer {
		return x.do(t, "POST", "/auth/ticket", `{"path":"/ws"}`, asJSON, now.cookies, csrf)
	}
	wantReason(t, ticket(before.csrf), http.StatusForbidden, "csrf_mismatch")
	raw := upgrade("/ws", "Origin: https://"+host, now.cookies, before.csrf)
	wantReason(t, ask(t, x.dialTLS(t), raw), http.StatusForbidden, "csrf_mismatch")
	if a := ticket(now.csrf); a.StatusCode != http.StatusOK {
		t.Errorf("its own value: %d %s", a.StatusCode, a.body)
	}
}

// TestT1_TwoCredentialsOfAUser checks that a token is refused together with the
// cookies of a login, even of the same user.
func TestT1_TwoCredentialsOfAUser(t *testing.T) {
	x := newGatewayOverTLS(t, gateway.Config{}, respond)
	alice, tok := x.logIn(t), bearer(gatewayToken(t))
	wantReason(t, x.do(t, "GET", "/auth/session", "", alice.cookies, tok), http.StatusBadRequest, "invalid_request")
	wantReason(t, x.do(t, "POST", "/auth/logout", "", alice.cookies, alice.csrf, tok), http.StatusBadRequest, "invalid_request")
	raw := upgrade("/ws", "Origin: https://"+host, alice.cookies, alice.csrf, tok)
	wantReason(t, ask(t, x.dialTLS(t), raw), http.StatusBadRequest, "invalid_request")
}

// TestT5_TokensInURLs checks that access tokens in the query are refused.
func TestT5_TokensInURLs(t *testing.T) {
	x := newGateway(t)
	tok := gatewayToken(t)
	for _, query := range []string{"?token=" + tok, "?access_token=" + tok, "?x=1&token=" + tok} {
		for _, raw := range []string{plain("GET", "/auth/session"+query), plain("GET", "/x"+query), upgrade("/x" + query)} {
			a := x.send(t, raw)
			wantReason(t, a, http.StatusBadRequest, "invalid_request")
			x.wantSilence(t, a, tok)
		}
	}
}

// TestR6_NoAnswerRepeatsTheQuery checks that no answer repeats a secret in the
// query. A redirect of a path to its clean form would repeat it.
func TestR6_NoAnswerRepeatsTheQuery(t *testing.T) {
	const canary = "CANARY"
	x := newGatewayOf(t, gateway.Config{Routes: []proxy.Route{{Path: "/ws"}}}, respond)
	for _, path := range []string{"//ws", "/./ws", "/x/../ws", "/ws//", "/ws/.", "/ws/..", "//", "/docs/..", "/%77s", "/ws"} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			a := x.send(t, plain(method, path+"?ticket="+canary, "Content-Length: 0"))
			if a.StatusCode < 400 || strings.Contains(a.head+a.body, canary) {
				t.Errorf("%s %s: %s\n%s", method, path, a.head, a.body)
			}
		}
	}
	if a := x.send(t, plain("GET", "http://"+host+"?ticket="+canary)); a.StatusCode < 400 || strings.Contains(a.head+a.body, canary) {
		t.Errorf("a target without a path: %s\n%s", a.head, a.body)
	}
}

// TestT11_LongHeads checks that request headers that are too long are refused.
func TestT11_LongHeads(t *testing.T) {
	x := newGateway(t)
	for name, c := range map[string]struct {
		path, line string
		status     int
	}{
		"target_of_9_KiB":       {"/public/?" + strings.Repeat("a", 9<<10), "A: b", 414},
		"target_of_64_KiB":      {"/public/?" + strings.Repeat("a", 64<<10), "A: b", 414},
		"10,000_parameters":     {"/public/?" + strings.Repeat("a=b&", 10_000), "A: b", 414},
		"header_of_33_KiB":      {"/public/", "A: " + strings.Repeat("b", 33<<10), 431},
		"headers_of_2_MiB":      {"/public/", "A: " + strings.Repeat("b", 2<<20), 431},
		"33_KiB_of_short_lines": {"/public/", strings.TrimSuffix(strings.Repeat("A: b\r\n", 33<<10/6), "\r\n"), 431},
		"within_the_limits":     {"/public/?" + strings.Repeat("a", 8000), "A: " + strings.Repeat("b", 30<<10), 200},
	} {
		t.Run(name, func(t *testing.T) {
			for _, raw := range []string{plain("GET", c.path, c.line), upgrade(c.path, c.line)} {
				if a := x.send(t, raw); a.StatusCode != c.status && (c.status != 200 || a.StatusCode != 101) {
					t.Errorf("status %d, want %d", a.StatusCode, c.status)
				}
			}
		})
	}
}

// TestR5_NamesCannotForgeLines checks that a user name that contains a log line
// does not forge one.
func TestR5_NamesCannotForgeLines(t *testing.T) {
	x := newGateway(t)
	name := "a\nlevel=INFO msg=\"logged in\" user=root\r\x1b[31m\u202e" + strings.Repeat("x", 200)
	x.log.Take()
	a := x.do(t, "POST", "/auth/login", `{"username":`+quoted(name)+`,"password":"x"}`, asJSON)
	wantReason(t, a, http.StatusUnauthorized, "bad_credentials")
	logged := x.log.Take()
	if strings.Count(logged, "\n") != 1 {
		t.Errorf("one attempt writes %q, want one line", logged)
	}
	if strings.ContainsAny(logged, "\r\x1b\u202e") || strings.Contains(logged, strings.Repeat("x", 100)) {
		t.Errorf("the log has the name unescaped or in full: %q", logged)
	}
}

// endpoints returns the login endpoints in openapi.json that change something,
// each in the form "POST /auth/login".
func endpoints(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile("../internal/gateway/demo/web/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var document struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	for path, methods := range document.Paths {
		for method := range methods {
			if strings.HasPrefix(path, "/auth/") && method != "get" {
				all = append(all, strings.ToUpper(method)+" "+path)
			}
		}
	}
	if len(all) == 0 {
		t.Fatal("openapi.json lists no login endpoints")
	}
	return all
}
