package login

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wsauth"
	"wsauth/internal/logintest"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// newGuard returns a guard that has tickets and cookies unless c changes that.
func newGuard(t *testing.T, keys *token.KeySet, change ...func(*wsauth.Config)) *wsauth.Guard {
	t.Helper()
	st := memory.New(store.Limits{})
	c := wsauth.Config{
		Verifier: must(token.NewVerifier(token.VerifierConfig{Keys: keys})), Revocations: st, Tickets: st,
		Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Ticket{}, wsauth.Cookies{}},
	}
	for _, f := range change {
		f(&c)
	}
	g := must(wsauth.New(c))
	t.Cleanup(func() { _ = g.Shutdown(context.Background()) })
	return g
}

func newKeys() *token.KeySet { return must(token.NewKeySet(must(token.GenerateKey(token.HS256)))) }

// TestNewReportsEveryError checks that New reports every error, with the name
// of its field.
func TestNewReportsEveryError(t *testing.T) {
	_, err := New(Config{
		Prefix: "auth/", AccessTTL: time.Millisecond, RefreshTTL: time.Microsecond, SessionTTL: time.Nanosecond, RefreshGrace: time.Hour,
		RefreshRetry: 25 * time.Hour, TicketBurst: -1, TicketRate: MaxTicketRate + 1, Origins: []string{"https://app.example", "*"},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	var fields []string
	for line := range strings.Lines(err.Error()) {
		field, _, _ := strings.Cut(strings.TrimPrefix(line, "login: Config."), ":")
		fields = append(fields, field)
	}
	want := []string{"Guard", "Store", "Keys", "Prefix", "AccessTTL", "RefreshTTL", "SessionTTL", "RefreshGrace", "RefreshRetry", "TicketBurst", "TicketRate", "Origins[1]"}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("(- want, + got):\n%s", diff)
	}
	keys := newKeys()
	for want, c := range map[string]Config{
		"Config.Guard: it has no Revocations":                             {Guard: newGuard(t, keys, func(c *wsauth.Config) { c.Revocations = nil })},
		"Config.Keys: the verifier of Guard refuses the tokens that they": {Guard: newGuard(t, newKeys())},
		"Config.Keys: the verifier of Guard refuses the tokens that they ": {Guard: newGuard(t, keys, func(c *wsauth.Config) {
			c.Verifier = must(token.NewVerifier(token.VerifierConfig{Keys: keys, Issuer: "x"}))
		})},
		"Config.Issuer:": {Guard: newGuard(t, keys), Issuer: "a\n"},
	} {
		c.Store, c.Keys = memory.New(store.Limits{}), keys
		_, err := New(c)
		if fault, ok := errors.AsType[*FieldError](err); !ok || !strings.Contains(err.Error(), want) || !strings.HasPrefix(want, "Config."+fault.Field) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestPrefix checks that a prefix must be valid as the path of a cookie and in
// patterns of http.ServeMux.
func TestPrefix(t *testing.T) {
	for _, good := range []string{"/auth", "/gw/login", "/a.b", "/A~b_c-d"} {
		if err := checkPrefix(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"/", "auth", "/auth/", "/a//b", "/a/../b", "/a;b", "/a%20b", "/a b", "/ä", "/a,b", `/a"b`, "/a\x7f", "/a*b", "/{a}"} {
		if checkPrefix(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestCheckTwice checks that calling Check on its own result changes nothing
// and returns the same errors.
func TestCheckTwice(t *testing.T) {
	for _, n := range []time.Duration{-5, -1, 0, 1, 2 * time.Second, 90 * time.Minute} {
		once, faults := Config{AccessTTL: n, RefreshTTL: n, SessionTTL: n, RefreshGrace: n, RefreshRetry: n, LoginsPerHour: int(n), TicketBurst: int(n), TicketRate: int(n)}.Check()
		twice, again := once.Check()
		once.Logger, twice.Logger = nil, nil
		if diff := cmp.Diff(once, twice, cmp.Comparer(func(a, b func(string) bool) bool { return true })); diff != "" || len(faults) != len(again) {
			t.Errorf("%v: %s, %d faults and then %d", n, diff, len(faults), len(again))
		}
	}
}

// TestEndpoints checks that a service has the endpoints for which it is
// configured, and answers everything else below its prefix with a problem
// document.
func TestEndpoints(t *testing.T) {
	keys := newKeys()
	always := []string{"DELETE /a/b/sessions/{sid}", "GET /a/b/session", "GET /a/b/sessions", "POST /a/b/logout", "POST /a/b/logout-everywhere", "POST /a/b/refresh"}
	for name, c := range map[string]struct {
		config Config
		guard  func(*wsauth.Config)
		more   []string
	}{
		"no users": {Config{}, func(*wsauth.Config) {}, []string{"POST /a/b/ticket"}},
		"users":    {Config{Users: anyone}, func(*wsauth.Config) {}, []string{"POST /a/b/fresh", "POST /a/b/login", "POST /a/b/ticket"}},
		"no tickets": {Config{Users: anyone}, func(c *wsauth.Config) {
			c.Tickets, c.Extractors = nil, nil
		}, []string{"POST /a/b/fresh", "POST /a/b/login"}},
	} {
		c.config.Guard, c.config.Store, c.config.Keys, c.config.Prefix = newGuard(t, keys, c.guard), memory.New(store.Limits{}), keys, "/a/b"
		s := must(New(c.config))
		if got, want := slices.Sorted(slices.Values(s.Patterns())), slices.Sorted(slices.Values(append(c.more, always...))); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		for request, want := range map[string]int{
			"GET /a/b/session": 401, "GET /a/b/refresh": 405, "POST /a/b/session": 405, "GET /a/b/": 404, "GET /a/b": 404, "GET /a/b//session": 404, "GET /auth/session": 404, "GET /": 404,
		} {
			method, path, _ := strings.Cut(request, " ")
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest(method, path, nil))
			logintest.Recorded(w).WantProblem(t, want, map[int]string{401: "token_missing", 405: "method_not_allowed"}[want], "")
		}
	}
}

// TestNoCookies checks that a login cannot request cookies that the guard would
// not read.
func TestNoCookies(t *testing.T) {
	keys := newKeys()
	s := must(New(Config{
		Guard: newGuard(t, keys, func(c *wsauth.Config) { c.Extractors = nil }), Store: memory.New(store.Limits{}), Keys: keys, Users: anyone,
	}))
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/auth/login", strings.NewReader(`{"username":"ada","password":"test","cookies":true}`))
	r.Header.Set("Content-Type", "application/json")
	s.ServeHTTP(w, r)
	logintest.Recorded(w).WantProblem(t, 422, "invalid_request", "cookies")
	if _, err := s.Start(httptest.NewRequest(http.MethodPost, "/", nil), "ada", true); err == nil {
		t.Error("Start makes tokens for cookies")
	}
}

// TestUserOfAnotherNamespace checks that no tokens are issued for a user whose
// tokens the guard would refuse.
func TestUserOfAnotherNamespace(t *testing.T) {
	keys := newKeys()
	other := must(token.NewVerifier(token.VerifierConfig{Keys: newKeys(), Issuer: "https://id.example", Namespace: "idp"}))
	both := must(token.NewVerifiers(must(token.NewVerifier(token.VerifierConfig{Keys: keys})), other))
	st := memory.New(store.Limits{})
	s := must(New(Config{Guard: newGuard(t, keys, func(c *wsauth.Config) { c.Verifier = both }), Store: st, Keys: keys, Users: anyone}))
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/auth/login", strings.NewReader(`{"username":"idp|ada","password":"test"}`))
	r.Header.Set("Content-Type", "application/json")
	s.ServeHTTP(w, r)
	logintest.Recorded(w).WantProblem(t, 500, "internal_error", "for this user")
	if sessions, err := st.ListSessions(t.Context(), "idp|ada"); len(sessions) != 0 || err != nil {
		t.Errorf("%v, %v", sessions, err)
	}
}

// TestStart checks that a session that the application starts is like any
// other.
func TestStart(t *testing.T) {
	r := start(t, func(c *setup) { c.LoginsPerHour = 2 })
	request := func(headers ...string) *http.Request {
		req := httptest.NewRequest(http.MethodPost, "http://localhost/passkey", nil)
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			req.Header.Set(name, value)
		}
		return req
	}
	tokens, err := r.s.Start(request("User-Agent: Phone"), "ada", false)
	if err != nil || tokens.Access.Claims.CSRF != "" || !tokens.Access.Claims.Fresh {
		t.Fatal(tokens, err)
	}
	r.echoes(tokens.Access.Raw)
	r.Renewed(r.Call("POST", "/auth/refresh", "", bearer(tokens.Refresh.Raw)))
	if list, err := r.s.Sessions(t.Context(), "ada"); len(list) != 1 || list[0].ID != tokens.Access.Claims.SessionID || err != nil {
		t.Errorf("%v, %v", list, err)
	}
	w := httptest.NewRecorder()
	if err := r.s.SetCookies(w, request(), tokens); err == nil || len(w.Result().Cookies()) > 0 {
		t.Error("tokens without a csrf claim are set as cookies")
	}
	r.wantLog("msg=\"logged in\" user=ada")

	// In cookies, with the application's own response.
	tokens, err = r.s.Start(request(), "ada", true)
	if err != nil {
		t.Fatal(err)
	}
	w = httptest.NewRecorder()
	if err := r.s.SetCookies(w, request(), tokens); err != nil || len(w.Result().Cookies()) != 4 {
		t.Errorf("%v, cookies %v", err, w.Result().Cookies())
	}

	answer := func(sub string, headers ...string) logintest.Answer {
		w := httptest.NewRecorder()
		tokens, err := r.s.Start(request(headers...), sub, false)
		r.s.Answer(w, request(headers...), tokens, err)
		return logintest.Recorded(w)
	}
	limited := answer("ada")
	limited.WantProblem(t, 429, "rate_limited", "Too many logins")
	if limited.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	answer("bert", "Origin: https://evil.example").WantProblem(t, 403, "origin_not_allowed", "other sites")
	answer("bert", "Sec-Fetch-Site: cross-site").WantProblem(t, 403, "origin_not_allowed", "other sites")
	answer("").WantProblem(t, 422, "invalid_request", "")
	answer(strings.Repeat("a", 257)).WantProblem(t, 422, "invalid_request", "")
	if e := answer("bert"); e.StatusCode != 200 || !strings.Contains(e.Text, "access_token") {
		t.Errorf("%d %s", e.StatusCode, e.Text)
	}
	if list, err := r.s.Sessions(t.Context(), "bert"); len(list) != 1 || err != nil {
		t.Errorf("%v, %v", list, err)
	}
}

// TestTrustedProxies checks that behind a trusted proxy, limits, sessions and
// cookies use the client that the proxy reports.
func TestTrustedProxies(t *testing.T) {
	keys := newKeys()
	st := memory.New(store.Limits{})
	s := must(New(Config{
		Guard: newGuard(t, keys, func(c *wsauth.Config) { c.TrustedProxies = []string{"192.0.2.1"} }), Store: st, Keys: keys, Users: anyone,
	}))
	login := func(peer, client, password string) *http.Response {
		r := httptest.NewRequest(http.MethodPost, "http://app.example/auth/login", strings.NewReader(`{"username":"ada","password":"`+password+`","cookies":true}`))
		r.RemoteAddr = peer
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Forwarded-For", client)
		r.Header.Set("X-Forwarded-Proto", "https")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Result()
	}
	if e := login("192.0.2.1:80", "198.51.100.7", "test"); e.StatusCode != 200 {
		t.Fatal(e.Status)
	}
	if sessions, err := st.ListSessions(t.Context(), "ada"); len(sessions) != 1 || sessions[0].Remote != "198.51.100.7" || err != nil {
		t.Errorf("%v, %v", sessions, err)
	}
	for range 10 {
		login("192.0.2.1:80", "203.0.113.1", "wrong")
	}
	if e := login("192.0.2.1:80", "203.0.113.1", "test"); e.StatusCode != 429 {
		t.Errorf("after ten wrong passwords: %s", e.Status)
	}
	if e := login("192.0.2.1:80", "203.0.113.2", "test"); e.StatusCode != 200 {
		t.Errorf("another client of the proxy: %s", e.Status)
	}
	for i := range 10 { // a peer that is not trusted is limited by its own address, whatever header it sends
		login("192.0.2.2:80", "203.0.113.1"+string(rune('0'+i)), "wrong")
	}
	if e := login("192.0.2.2:80", "203.0.113.99", "test"); e.StatusCode != 429 {
		t.Errorf("a peer that is not trusted: %s", e.Status)
	}
}

// TestRequestsOfOtherOrigins checks that by default, pages of other origins can
// do nothing, and that with CORS they can do what it allows.
func TestRequestsOfOtherOrigins(t *testing.T) {
	for name, c := range map[string]struct {
		tokens, cookies     bool
		plain, with, asking int // without cookies, with one, asking for one
	}{
		"nothing": {false, false, 403, 403, 403},
		"tokens":  {true, false, 200, 403, 403},
		"cookies": {true, true, 200, 200, 200},
	} {
		r := start(t, func(s *setup) {
			s.CrossOrigin = func(*http.Request) (bool, bool) { return c.tokens, c.cookies }
			s.Origins = []string{"https://ours.example"}
			s.LoginsPerHour = -1
		}).beside()
		const body, cookies = `{"username":"test","password":"test"}`, `{"username":"test","password":"test","cookies":true}`
		for _, sign := range []string{"Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"} {
			for what, e := range map[string]struct {
				got  logintest.Answer
				want int
			}{
				"plain":  {r.Call("POST", "/auth/login", body, jsonType, sign), c.plain},
				"with":   {r.Call("POST", "/auth/login", body, jsonType, sign, "Cookie: access_token_cookie=x; __Host-access_token_cookie=x"), c.with},
				"asking": {r.Call("POST", "/auth/login", cookies, jsonType, sign), c.asking},
			} {
				if e.got.StatusCode != e.want {
					t.Errorf("%s, %s, %s: %d %s, want %d", name, sign, what, e.got.StatusCode, e.got.Text, e.want)
				}
			}
		}
		for _, sign := range []string{"Origin: https://ours.example", "Origin: " + r.URL, "Sec-Fetch-Site: same-origin"} {
			if e := r.Call("POST", "/auth/login", cookies, jsonType, sign); e.StatusCode != 200 {
				t.Errorf("%s, %s: %d %s", name, sign, e.StatusCode, e.Text)
			}
		}
	}
}

// TestRefusedHook checks that refusals of the service itself are reported, and
// those of the guard are not.
func TestRefusedHook(t *testing.T) {
	var reasons []string
	r := start(t, func(c *setup) { c.Refused = func(_ *http.Request, reason string) { reasons = append(reasons, reason) } })
	r.Call("POST", "/auth/login", `{"username":"test","password":"x"}`, jsonType)
	r.Call("POST", "/auth/login", `{}`, jsonType)
	r.Call("GET", "/auth/session", "")
	r.Call("GET", "/auth/nothing", "")
	if want := []string{"bad_credentials", "invalid_request", ""}; !slices.Equal(reasons, want) {
		t.Errorf("%q, want %q", reasons, want)
	}
}

// TestTicketPathHook checks that the application decides which paths get
// tickets and which sockets begin with a welcome.
func TestTicketPathHook(t *testing.T) {
	r := start(t, func(c *setup) {
		c.TicketPath = func(_ *http.Request, path string) error {
			if path != "/ws" && path != "/hi" {
				return errors.New("path is neither /ws nor /hi")
			}
			return nil
		}
		c.Welcome = func(path string) bool { return path == "/hi" }
	})
	access, _ := r.Login()
	r.Call("POST", "/auth/ticket", `{"path":"/other"}`, jsonType, bearer(access)).WantProblem(t, 422, "invalid_request", "neither /ws nor /hi")
	for path, want := range map[string]bool{"/ws": false, "/x/../hi": true} {
		e := r.Call("POST", "/auth/ticket", `{"path":"`+path+`"}`, jsonType, bearer(access))
		if socket, _ := e.Decode(t)["socket"].(map[string]any); socket["welcome"] != want {
			t.Errorf("%s: %s", path, e.Text)
		}
	}
}
