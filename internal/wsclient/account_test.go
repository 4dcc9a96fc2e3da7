package wsclient

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAnswersOfALogin(t *testing.T) {
	const jsonType = "application/json"
	long := strings.Repeat("x", maxAnswer)
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"not JSON":       {answer(200, jsonType, `{"access_token":"secretsecret"`), "it is not JSON in the expected form"},
		"no tokens":      {answer(200, jsonType, `{}`), "it has no valid tokens"},
		"no refresh":     {answer(200, jsonType, `{"access_token":"secretsecret","expires_in":1}`), "it has no valid tokens"},
		"a bad token":    {answer(200, jsonType, `{"access_token":"secretsecret\r\nX: y","refresh_token":"r","expires_in":1}`), "it has no valid tokens"},
		"a bad time":     {answer(200, jsonType, `{"access_token":"secretsecret","refresh_token":"r","expires_in":-1}`), "it has no valid tokens"},
		"too long":       {answer(200, jsonType, `{"access_token":"`+long+`"}`), "the answer is longer than 65536 bytes"},
		"refused long":   {answer(429, "text/plain", long+long), "429 Too Many Requests"},
		"refused page":   {answer(502, "text/html", "<h1>secretsecret</h1>"), "502 Bad Gateway\nwhat to do: reconnect after a random wait"},
		"refused text":   {answer(403, "text/plain; charset=utf-8", "\x1b[2Jno\nsecretsecret"), `it means:   \u001b[2Jno` + "\nwhat to do"},
		"broken problem": {answer(400, "application/problem+json", `{"detail":`), "400 Bad Request\nwhat to do: do not reconnect automatically"},
		"only a title":   {answer(400, "application/problem+json", `{"title":"Wrong"}`), "it means:   Wrong"},
		"redirected": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://user:secretsecret@other.example/login?token=secretsecret", http.StatusTemporaryRedirect)
		}, "it redirects to https://other.example/login; credentials are not sent there automatically"},
		"wait": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "7")
			answer(429, "application/problem+json", `{"detail":"Too many","reason":"rate_limited"}`)(w, r)
		}, "wait:       7 s at least"},
	} {
		t.Run(name, func(t *testing.T) {
			handlers := logins("900")
			handlers["POST /auth/login"] = c.handler
			r := newRig(t, handlers)
			r.config.User, r.config.Via = "ada", Via{InTicket, "ticket"}
			err := r.run()
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secretsecret") {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

func TestServerThatDoesNotAnswer(t *testing.T) {
	release := make(chan struct{})
	silent := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	defer close(release)
	for _, path := range []string{"POST /auth/login", "POST /auth/ticket", "/ws"} {
		handlers := logins("900")
		handlers["/ws"] = answer(404, "text/plain", "")
		handlers[path] = silent
		r := newRig(t, handlers)
		r.config.User, r.config.Via, r.config.Timeout = "ada", Via{InTicket, "ticket"}, 100*time.Millisecond
		if err := r.run(); err == nil || !strings.Contains(err.Error(), "no answer in 100ms") || strings.Contains(err.Error(), "secretsecret") {
			t.Errorf("%s: got %v, want an error with %q", path, err, "no answer in 100ms")
		}
	}
}

// TestLogoutAfterARefusal checks that a session that the client started is
// ended if no socket opens.
func TestLogoutAfterARefusal(t *testing.T) {
	handlers := logins("900")
	bearers := make(chan string, 1)
	handlers["POST /auth/logout"] = func(w http.ResponseWriter, r *http.Request) {
		bearers <- r.Header.Get("Authorization")
		w.WriteHeader(http.StatusNoContent)
	}
	handlers["/ws"] = answer(403, "application/problem+json", `{"detail":"Origin not allowed","reason":"origin_not_allowed"}`)
	r := newRig(t, handlers)
	r.config.User, r.config.Via, r.config.Origin = "ada", Via{InTicket, "ticket"}, "https://evil.example"
	err := r.run()
	refusal, ok := errors.AsType[*Refusal](err)
	if !ok || refusal.Step != Handshake || refusal.Status != 403 || refusal.Reason != "origin_not_allowed" {
		t.Errorf("%v", err)
	}
	if bearer := <-bearers; bearer != "Bearer "+firstAccess {
		t.Error(bearer)
	}
	if !strings.Contains(r.err.String(), "logged out\n") {
		t.Error(r.err)
	}
}

// TestLogoutWithAnExpiredAccessToken checks that the refresh token logs out if
// the access token has expired. A session that the server does not have need
// not be ended.
func TestLogoutWithAnExpiredAccessToken(t *testing.T) {
	var got string
	r := newRig(t, map[string]http.HandlerFunc{"POST /auth/logout": func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		answer(401, "application/problem+json", `{"reason":"session_ended"}`)(w, r)
	}})
	client, err := New(r.config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.http.CloseIdleConnections()
	client.account.access, client.account.refresh, client.account.expires = "a", "r", time.Now().Add(-time.Second)
	if ended, err := client.account.Logout(t.Context()); ended || err != nil || got != "Bearer r" {
		t.Errorf("%v, %v with %q", ended, err, got)
	}
}

// TestAnswersOfProxies checks that the response of a proxy says nothing about
// the session: a renewal is tried again, and a logout fails.
func TestAnswersOfProxies(t *testing.T) {
	for name, c := range map[string]struct {
		status     int
		kind, body string
		own        bool
	}{
		"a page":                    {404, "text/html", "<title>Not Found</title>", false},
		"a login page":              {401, "text/html", "<form>", false},
		"nothing":                   {403, "", "", false},
		"text":                      {401, "text/plain", "Unauthorized", false},
		"JSON of its own":           {401, "application/json", `{"message":"Unauthorized"}`, false},
		"a broken document":         {401, "application/problem+json", `{"reason":`, false},
		"the server":                {401, "application/problem+json", `{"reason":"session_ended"}`, true},
		"the server, with charset":  {403, "Application/Problem+JSON; charset=utf-8", `{"reason":"csrf_mismatch"}`, true},
		"the server without reason": {404, "application/problem+json", `{"status":404}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			problem := answer(c.status, c.kind, c.body)
			r := newRig(t, map[string]http.HandlerFunc{"POST /auth/refresh": problem, "POST /auth/logout": problem})
			client, err := New(r.config)
			if err != nil {
				t.Fatal(err)
			}
			defer client.http.CloseIdleConnections()
			client.account.access, client.account.refresh = "a", "r"
			refusal, ok := errors.AsType[*Refusal](client.account.Refresh(t.Context()))
			if !ok || refusal.Status != c.status || final(refusal) != c.own {
				t.Errorf("%v, final %v", refusal, ok && final(refusal))
			}
			ended, err := client.account.Logout(t.Context())
			if over := c.own && c.status == 401; ended || (err == nil) != over {
				t.Errorf("logged out: %v, %v", ended, err)
			}
		})
	}
}

func TestRenewIn(t *testing.T) {
	for range 1000 {
		for _, c := range []struct{ left, life, low, high time.Duration }{
			{15 * time.Minute, 15 * time.Minute, 450 * time.Second, 720 * time.Second},
			{time.Second, 900 * time.Second, 5 * time.Second, 5 * time.Second},
			{-time.Hour, 20 * time.Second, 2 * time.Second, 2 * time.Second},
			{0, time.Second, 500 * time.Millisecond, 500 * time.Millisecond},
		} {
			if got := renewIn(c.left, c.life); got < c.low || got > c.high {
				t.Fatalf("%+v: got %s", c, got)
			}
		}
	}
}

func TestAddHeader(t *testing.T) {
	var c Config
	for _, text := range []string{"X-Key: a b", "x-key:second", "Host:app.example", "Cookie:a=b", "X-Empty:"} {
		if err := c.AddHeader(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if got := c.Header["X-Key"]; c.Host != "app.example" || len(got) != 2 || got[0] != "a b" {
		t.Errorf("got %+v", c)
	}
	for text, want := range map[string]string{
		"": "must be NAME:VALUE", "X": "must be NAME:VALUE", ":x": "must be NAME:VALUE", "a b:c": "must be NAME:VALUE",
		"X-A:a\r\nX-B: b": "has control characters", "X-A:\x00": "has control characters", "X-A:\x7f": "has control characters",
		"Sec-WebSocket-Key:a": "cannot be set with --header", "origin:a": "cannot be set with --header", "Connection:close": "cannot be set with --header", "Content-Length:1": "cannot be set with --header",
	} {
		if err := c.AddHeader(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", text, err, want)
		}
	}
}

// TestRefreshRepeatsItsKey checks that a refresh without a response is repeated
// with the same key, within the call and in the next call. The refresh after it
// has another key. net/http itself repeats requests with a key, so the number
// of requests is not checked.
func TestRefreshRepeatsItsKey(t *testing.T) {
	handlers := logins("900")
	renew := handlers["POST /auth/refresh"]
	var mu sync.Mutex
	var outcomes []string // the last one repeats
	keys := map[string]bool{}
	next := func(key string) (outcome string) {
		mu.Lock()
		defer mu.Unlock()
		keys[key] = true
		outcome = outcomes[0]
		if len(outcomes) > 1 {
			outcomes = outcomes[1:]
		}
		return outcome
	}
	handlers["POST /auth/refresh"] = func(w http.ResponseWriter, r *http.Request) {
		switch next(r.Header.Get("Idempotency-Key")) {
		case "cut":
			panic(http.ErrAbortHandler)
		case "cut in its body":
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"access_token":"`))
		case "500":
			w.WriteHeader(http.StatusInternalServerError)
		case "401":
			answer(401, "application/problem+json", `{"reason":"session_ended"}`)(w, r)
		default:
			renew(w, r)
		}
	}
	r := newRig(t, handlers)
	c, err := New(r.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.account.Login(t.Context(), "ada", "password"); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		outcomes []string
		fails    bool
		keys     int // used so far
	}{
		{[]string{"cut", "cut in its body", "500", "200"}, false, 1},
		{[]string{"cut"}, true, 2},
		{[]string{"cut", "200"}, false, 2},
		{[]string{"401"}, true, 3},
	} {
		mu.Lock()
		outcomes = step.outcomes
		mu.Unlock()
		err := c.account.Refresh(t.Context())
		mu.Lock()
		if (err != nil) != step.fails || len(outcomes) != 1 {
			t.Errorf("%v: %v, %v are left", step.outcomes, err, outcomes)
		}
		if len(keys) != step.keys || keys[""] {
			t.Errorf("%v: %d keys until then, want %d: %v", step.outcomes, len(keys), step.keys, keys)
		}
		mu.Unlock()
	}
}
