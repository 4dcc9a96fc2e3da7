package login

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wsauth"
)

func TestLoginAnswersTokens(t *testing.T) {
	r := start(t)
	e := r.Call("POST", "/auth/login", `{"username":"test","password":"test"}`, jsonType)
	v := e.Decode(t)
	if e.StatusCode != http.StatusOK || v["token_type"] != "Bearer" || v["expires_in"].(float64) < 810 || v["expires_in"].(float64) > 900 {
		t.Errorf("%d %s", e.StatusCode, e.Text)
	}
	if got := e.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
	if held := r.Cookies(); len(held) != 0 {
		t.Errorf("cookies were set: %v", held)
	}
}

// TestLoginByTokenLeavesCookies checks that a login without cookies does not
// delete cookies, because they may belong to another window. Deleting them
// would log that window out in the browser but not on the server.
func TestLoginByTokenLeavesCookies(t *testing.T) {
	r := start(t)
	value, _ := r.LoginCookies()
	before := r.Cookies()
	access, refresh := r.Login()
	if held := r.Cookies(); !maps.Equal(held, before) {
		t.Errorf("cookies before %d, after %d, or others", len(before), len(held))
	}
	jar := r.HTTP.Jar
	r.HTTP.Jar = nil // like a page that sends its tokens
	ticket := r.Ticket(access)
	r.HTTP.Jar = jar
	r.Open("?ticket=" + ticket) // takes precedence over the cookies of the request
	r.Open("?csrf_token=" + value)
	if sockets := slices.Collect(r.guard.Sockets(wsauth.Filter{Subject: "test"})); len(sockets) != 2 || sockets[0].Claims().SessionID == sockets[1].Claims().SessionID {
		t.Error("both sockets are of one session")
	}
	r.HTTP.Jar = nil
	if e := r.Call("POST", "/auth/logout", "", bearer(refresh)); e.StatusCode != http.StatusNoContent {
		t.Errorf("%d %s", e.StatusCode, e.Text)
	}
	r.HTTP.Jar = jar
	if e := r.Call("GET", "/auth/session", ""); e.StatusCode != http.StatusOK {
		t.Errorf("the cookie login: %d %s", e.StatusCode, e.Text)
	}
}

func TestLoginSetsFourCookies(t *testing.T) {
	r := start(t)
	access, refresh := r.LoginCookies()
	got := r.Cookies()
	if got["csrf_access_token"] != access || got["csrf_refresh_token"] != refresh || access == refresh {
		t.Errorf("CSRF cookies %v are not the values of the answer", got)
	}
	if len(got) != 4 || got["access_token_cookie"] == "" || got["refresh_token_cookie"] == "" {
		t.Errorf("cookies %v, want four", got)
	}
}

func TestEachLoginIsANewSession(t *testing.T) { // Q19
	r := start(t)
	sids := map[any]bool{}
	for range 3 {
		access, _ := r.Login()
		sids[r.Call("GET", "/auth/session", "", "Authorization: Bearer "+access).Decode(t)["sid"]] = true
	}
	if len(sids) != 3 {
		t.Errorf("three logins made %d sessions", len(sids))
	}
}

func TestH15_LoginIsNoOracle(t *testing.T) {
	r := start(t)
	var bodies, headers []string
	for _, body := range []string{`{"username":"test","password":"wrong"}`, `{"username":"nobody","password":"test"}`, `{"username":"nobody","password":""}`} {
		e := r.Call("POST", "/auth/login", body, jsonType)
		e.WantProblem(t, 401, "bad_credentials", "Bad username or password")
		e.Header.Del("Date")
		var b strings.Builder
		if err := e.Header.Write(&b); err != nil {
			t.Fatal(err)
		}
		bodies, headers = append(bodies, e.Text), append(headers, b.String())
	}
	for i := range bodies {
		if bodies[i] != bodies[0] || headers[i] != headers[0] {
			t.Errorf("answer %d differs: %s %s", i, headers[i], bodies[i])
		}
	}
	if !strings.Contains(headers[0], "Www-Authenticate: Bearer") {
		t.Errorf("no WWW-Authenticate in %s", headers[0])
	}
}

// TestPasswordsCannotBeChecked checks that if the authenticator fails, no
// tokens are issued, no session starts and no failure is counted.
func TestPasswordsCannotBeChecked(t *testing.T) {
	for name, test := range map[string]struct {
		err                  error
		status               int
		reason, detail, logs string
	}{
		"down": {errors.New("the directory is down"), http.StatusServiceUnavailable, "store_unavailable", "cannot be checked now", "reason=authenticator"},
		"busy": {busyError{time.Second}, http.StatusTooManyRequests, "rate_limited", "Too many passwords", "reason=rate_limited"},
	} {
		t.Run(name, func(t *testing.T) {
			var down atomic.Bool
			r := start(t, func(c *setup) {
				c.Users = AuthenticatorFunc(func(_ context.Context, _, password string) (bool, error) {
					if down.Load() {
						return true, test.err
					}
					return password == "test", nil
				})
			})
			access, _ := r.Login()
			down.Store(true)
			for range 30 { // more than the allowed failures
				for path, body := range map[string]string{"/auth/login": `{"username":"test","password":"test"}`, "/auth/fresh": `{"password":"test"}`} {
					e := r.Call("POST", path, body, jsonType, bearer(access))
					e.WantProblem(t, test.status, test.reason, test.detail)
					if strings.Contains(e.Text, "access_token") || len(e.Header["Set-Cookie"]) > 0 {
						t.Fatalf("%s: %v %s", path, e.Header, e.Text)
					}
				}
			}
			if n := len(r.list(access)); n != 1 {
				t.Errorf("%d sessions, want the first one", n)
			}
			r.wantLog(test.logs)
			down.Store(false)
			r.Login()
		})
	}
}

func TestLoginRefusesBadBodies(t *testing.T) {
	r := start(t)
	const good = `{"username":"test","password":"test"}`
	tests := []struct {
		name, body, contentType string
		status                  int
		detail                  string
	}{
		{"no content type", good, "", 415, "application/json"},
		{"C17 form of another site", good, "text/plain", 415, "application/json"},
		{"other charset", good, "application/json; charset=utf-16", 415, "application/json"},
		{"empty", "", "application/json", 400, "not valid JSON"},
		{"cut", `{"username":"test"`, "application/json", 400, "not valid JSON"},
		{"two objects", good + good, "application/json", 400, "not valid JSON"},
		{"not UTF-8", "{\"username\":\"\xff\",\"password\":\"test\"}", "application/json", 400, "not valid JSON"},
		{"duplicate name", `{"username":"a","username":"test","password":"test"}`, "application/json", 400, "twice"},
		{"escaped duplicate", `{"username":"a","\u0075sername":"test","password":"test"}`, "application/json", 400, "twice"},
		{"array", `[]`, "application/json", 422, "must be an object"},
		{"number as name", `{"username":1,"password":"test"}`, "application/json", 422, "username must be a string"},
		{"object as password", `{"username":"test","password":{}}`, "application/json", 422, "password must be a string"},
		{"string as cookies", `{"username":"test","password":"test","cookies":"yes"}`, "application/json", 422, "cookies must be true or false"},
		{"unknown member", `{"username":"test","password":"test","admin":true}`, "application/json", 422, "not known"},
		{"other case", `{"Username":"test","password":"test"}`, "application/json", 422, "not known"},
		{"no name", `{"password":"test"}`, "application/json", 422, "username is required"},
		{"empty name", `{"username":"","password":"test"}`, "application/json", 422, "username is required"},
		{"null password", `{"username":"test","password":null}`, "application/json", 422, "password is required"},
		{"long name", `{"username":"` + strings.Repeat("a", 257) + `","password":"test"}`, "application/json", 422, "longer than 256"},
		{"long password", `{"username":"test","password":"` + strings.Repeat("a", 1025) + `"}`, "application/json", 422, "longer than 1024"},
		{"65 KiB", `{"username":"` + strings.Repeat("a", 65<<10) + `"}`, "application/json", 413, "64 KiB"},
		{"deep", strings.Repeat("[", 60<<10), "application/json", 422, "must be an object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var headers []string
			if tt.contentType != "" {
				headers = append(headers, "Content-Type: "+tt.contentType)
			}
			r.Call("POST", "/auth/login", tt.body, headers...).WantProblem(t, tt.status, "invalid_request", tt.detail)
		})
	}
	if e := r.Call("POST", "/auth/login", good, "Content-Type: application/json; charset=UTF-8"); e.StatusCode != http.StatusOK {
		t.Errorf("a charset of UTF-8 is refused: %d %s", e.StatusCode, e.Text)
	}
}

func TestR3_LoginIsLimitedByName(t *testing.T) {
	r := start(t)
	bad := `{"username":"test","password":"wrong"}`
	for i := range 10 {
		if e := r.Call("POST", "/auth/login", bad, jsonType); e.StatusCode != http.StatusUnauthorized {
			t.Fatalf("attempt %d: %d", i+1, e.StatusCode)
		}
	}
	e := r.Call("POST", "/auth/login", bad, jsonType)
	e.WantProblem(t, 429, "rate_limited", "Too many")
	if s, err := strconv.Atoi(e.Header.Get("Retry-After")); err != nil || s < 1 || s > 6 {
		t.Errorf("Retry-After %q, want 1 to 6 seconds", e.Header.Get("Retry-After"))
	}
	if e := r.Call("POST", "/auth/login", `{"username":"test","password":"test"}`, jsonType); e.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the right password passes a name that is limited: %d", e.StatusCode)
	}
	if e := r.Call("POST", "/auth/login", `{"username":"other","password":"wrong"}`, jsonType); e.StatusCode != http.StatusUnauthorized {
		t.Errorf("another name is limited, too: %d", e.StatusCode)
	}
}

func TestR3_LoginIsLimitedByAddress(t *testing.T) {
	r := start(t)
	statuses := map[int]int{}
	for i := range 25 {
		e := r.Call("POST", "/auth/login", `{"username":"n`+strconv.Itoa(i)+`","password":"wrong"}`, jsonType)
		statuses[e.StatusCode]++
	}
	if statuses[401] != 20 || statuses[429] != 5 {
		t.Errorf("statuses %v, want 20 times 401 and 5 times 429", statuses)
	}
}

func TestGoodLoginsAreNotLimited(t *testing.T) {
	r := start(t)
	for range 40 {
		r.Login()
	}
}

func TestLoginWhenPasswordsCannotBeChecked(t *testing.T) {
	r := start(t, func(c *setup) {
		c.Users = AuthenticatorFunc(func(context.Context, string, string) (bool, error) { return true, errors.New("store: no route") })
	})
	e := r.Call("POST", "/auth/login", `{"username":"test","password":"test"}`, jsonType)
	if e.WantProblem(t, http.StatusServiceUnavailable, "store_unavailable", ""); strings.Contains(e.Text, "no route") {
		t.Errorf("the answer contains the cause: %s", e.Text)
	}
}
