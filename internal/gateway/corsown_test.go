package gateway

import (
	"net/http/cookiejar"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/discovery"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/tokens"
	"wsauth/login"
	"wsauth/token"
)

// TestG10_CORSOfLogins checks that pages of listed origins, and no others, can
// log in and fetch tickets, with tokens and, if the policy allows credentials,
// with cookies.
func TestG10_CORSOfLogins(t *testing.T) {
	inBothServers(t, func(t *testing.T, start func(...func(*Config)) *rig) {
		const patterned = "https://pr-7.preview.example.com"
		for _, credentials := range []bool{false, true} {
			r := start(func(c *Config) {
				c.AuthCORS = &proxy.CORS{Origins: []string{corsApp}, Credentials: credentials}
				if !credentials {
					c.AuthCORS.Origins = append(c.AuthCORS.Origins, "https://*.preview.example.com")
				}
			})
			wantPreflight := map[string]string{
				"Allow-Origin": corsApp, "Allow-Methods": "GET, HEAD, POST, DELETE",
				"Allow-Headers": "Authorization, Content-Type, Idempotency-Key, X-Csrf-Token", "Max-Age": "600",
				"Vary": "Origin + Access-Control-Request-Method + Access-Control-Request-Headers",
			}
			if credentials {
				wantPreflight["Allow-Credentials"] = "true"
			}
			for _, path := range []string{"/auth/login", "/auth/refresh", "/auth/fresh", "/auth/ticket", "/auth/logout", "/auth/logout-everywhere", "/auth/sessions", "/auth/sessions/x", "/auth/session"} {
				e := r.Send("OPTIONS", path, nil, preflightFor(corsApp, "POST", "authorization", "idempotency-key")...)
				if diff := cmp.Diff(wantPreflight, corsOf(e.Header)); diff != "" || e.StatusCode != 204 {
					t.Errorf("%s: %d (- want, + got):\n%s", path, e.StatusCode, diff)
				}
				if e = r.Send("OPTIONS", path, nil, preflightFor(corsEvil, "POST")...); e.StatusCode != 403 || e.Header.Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%s from evil: %d %v", path, e.StatusCode, e.Header)
				}
			}

			jar := r.HTTP.Jar
			for _, c := range []struct {
				origin, site string
				ok           bool
			}{
				{corsApp, "cross-site", true}, {corsApp, "same-site", true}, {corsApp, "", true},
				{patterned, "cross-site", !credentials}, {corsEvil, "cross-site", false}, {"null", "cross-site", false}, {"http://app.example.com", "", false},
			} {
				lines := []string{"Origin: " + c.origin}
				if c.site != "" {
					lines = append(lines, "Sec-Fetch-Site: "+c.site)
				}
				r.HTTP.Jar = nil // by tokens
				e := r.Send("POST", "/auth/login", strings.NewReader(`{"username":"test","password":"test"}`), append(lines, jsonType)...)
				if !c.ok {
					e.WantProblem(t, 403, "origin_not_allowed", "")
					if got := corsOf(e.Header); len(got) != 1 {
						t.Errorf("%s: got the CORS fields %v, want only Vary", c.origin, got)
					}
					continue
				}
				if e.StatusCode != 200 || e.Header.Get("Access-Control-Allow-Origin") != c.origin {
					t.Fatalf("%s: got %d %s %v", c.origin, e.StatusCode, e.Text, e.Header)
				}
				v := e.Decode(t)
				access, refresh := bearer(v["access_token"].(string)), bearer(v["refresh_token"].(string))
				for _, call := range []struct{ method, path, body, token string }{
					{"POST", "/auth/ticket", `{"path":"/ws"}`, access}, {"GET", "/auth/sessions", "", access}, {"GET", "/auth/session", "", access},
					{"POST", "/auth/refresh", "", refresh}, {"POST", "/auth/logout-everywhere", "", access},
				} {
					e := r.Send(call.method, call.path, strings.NewReader(call.body), append(lines, jsonType, call.token)...)
					if e.StatusCode != 200 || e.Header.Get("Access-Control-Allow-Origin") != c.origin || (e.Header.Get("Access-Control-Allow-Credentials") == "true") != credentials {
						t.Errorf("%s %s of %s: got %d %s %v, want 200 with CORS fields", call.method, call.path, c.origin, e.StatusCode, e.Text, e.Header)
					}
				}

				// Cookies are sent over TLS only.
				if !strings.HasPrefix(r.URL, "https") {
					continue
				}
				r.HTTP.Jar = must(cookiejar.New(nil))
				e = r.Send("POST", "/auth/login", strings.NewReader(`{"username":"test","password":"test","cookies":true}`), append(lines, jsonType)...)
				if !credentials {
					e.WantProblem(t, 403, "origin_not_allowed", "auth.cors.credentials")
					if len(e.Cookies()) > 0 {
						t.Errorf("%s got cookies", c.origin)
					}
					// Even if the page knows the CSRF value, it cannot use the
					// cookies.
					csrf, _ := r.LoginCookies()
					r.Send("POST", "/auth/logout", nil, append(lines, "X-CSRF-Token: "+csrf)...).WantProblem(t, 403, "origin_not_allowed", "")
					if e := r.Send("POST", "/auth/logout", nil, "X-CSRF-Token: "+csrf); e.StatusCode != 204 {
						t.Errorf("without an Origin: %d %s", e.StatusCode, e.Text)
					}
					continue
				}
				if e.StatusCode != 200 || e.Header.Get("Access-Control-Allow-Credentials") != "true" {
					t.Fatalf("got %d %s", e.StatusCode, e.Text)
				}
				csrf := "X-CSRF-Token: " + e.Decode(t)["csrf_token"].(string)
				r.Send("POST", "/auth/ticket", strings.NewReader(`{"path":"/ws"}`), append(lines, jsonType)...).WantProblem(t, 403, "csrf_mismatch", "")
				r.Send("POST", "/auth/ticket", strings.NewReader(`{"path":"/ws"}`), "Origin: "+corsEvil, jsonType, csrf).WantProblem(t, 403, "origin_not_allowed", "")
				if e := r.Send("POST", "/auth/ticket", strings.NewReader(`{"path":"/ws"}`), append(lines, jsonType, csrf)...); e.StatusCode != 200 {
					t.Errorf("a ticket by cookie: %d %s", e.StatusCode, e.Text)
				}
				if e := r.Send("POST", "/auth/logout", nil, append(lines, csrf)...); e.StatusCode != 204 {
					t.Errorf("a logout by cookie: %d %s", e.StatusCode, e.Text)
				}
			}
			r.HTTP.Jar = jar
		}
	})
}

// TestOwnPagesNeedNoCORS checks that CORS restricts neither pages of the
// gateway's own origin nor those in Origins: they can use cookies even if the
// policy has no credentials.
func TestOwnPagesNeedNoCORS(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Origins = []string{"https://ours.example"}
		c.AuthCORS = &proxy.CORS{Origins: []string{"*"}}
	})
	for _, lines := range [][]string{
		{"Origin: " + r.URL, "Sec-Fetch-Site: same-origin"}, {"Origin: " + r.URL}, {"Origin: https://ours.example", "Sec-Fetch-Site: cross-site"}, {},
	} {
		e := r.Send("POST", "/auth/login", strings.NewReader(`{"username":"test","password":"test","cookies":true}`), append(lines, jsonType)...)
		if e.StatusCode != 200 {
			t.Fatalf("%q: got %d %s, want %v", lines, e.StatusCode, e.Text, 200)
		}
		if e = r.Send("POST", "/auth/logout", nil, append(lines, "X-CSRF-Token: "+e.Decode(t)["csrf_token"].(string))...); e.StatusCode != 204 {
			t.Errorf("%q: got %d %s, want %v", lines, e.StatusCode, e.Text, 204)
		}
	}
}

// TestOriginsGrantNoReads checks that an origin that may open sockets can read
// no answers, and that one that may read answers opens no sockets.
func TestOriginsGrantNoReads(t *testing.T) {
	b := newBackend(t)
	const socket, reader = "https://socket.example", "https://reader.example"
	r := start(t, func(c *Config) {
		c.Origins = []string{socket}
		c.AuthCORS = &proxy.CORS{Origins: []string{reader}}
		c.Routes = []proxy.Route{{Path: "/", Upstreams: []string{b.URL}, CORS: &proxy.CORS{Origins: []string{reader}}}}
	})
	access, _ := r.Login()
	for _, c := range []struct {
		origin string
		socket int
		reads  string
	}{{socket, 101, ""}, {reader, 403, reader}} {
		if e := r.callUnchanged("GET /chat HTTP/1.1", append([]string{"Origin: " + c.origin, bearer(access)}, upgradeLines...)...); e.StatusCode != c.socket {
			t.Errorf("a socket of %s: %d %s", c.origin, e.StatusCode, e.Text)
		}
		for _, path := range []string{"/chat", "/auth/session"} {
			for _, method := range []string{"GET", "OPTIONS"} {
				e := r.ask(method, path, preflightFor(c.origin, "GET")...)
				if got := e.Header.Get("Access-Control-Allow-Origin"); got != c.reads {
					t.Errorf("%s %s of %s: status %d, allowed origin %q, want %q", method, path, c.origin, e.StatusCode, got, c.reads)
				}
			}
		}
	}
}

// TestCORSOfTheDemonstration checks that AuthCORS applies to logins and
// tickets, but not to the pages of the demonstration.
func TestCORSOfTheDemonstration(t *testing.T) {
	r := start(t, func(c *Config) { c.AuthCORS = &proxy.CORS{Origins: []string{corsApp}} })
	for path, want := range map[string]string{"/": "", "/ws": "", "/docs": "", "/livez": "", "/nothing": "", "/auth/session": corsApp, "/auth/client/wsauth.js": corsApp, discovery.KeysPath: "*", discovery.MetadataPath: "*"} {
		if e := r.ask("GET", path, "Origin: "+corsApp); e.Header.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("%s: got %d %v", path, e.StatusCode, e.Header)
		}
	}
}

// TestOriginsOfOwnPaths checks that the policy of the path decides whether a
// page of another site may send requests to it: every page can read published
// documents, and AuthCORS is only for the paths below Login.Prefix.
func TestOriginsOfOwnPaths(t *testing.T) {
	for _, cors := range []*proxy.CORS{nil, {Origins: []string{corsApp}}} {
		r := start(t, func(c *Config) { c.AuthCORS = cors })
		login := map[bool]int{true: 415, false: 403}[cors != nil]
		for path, want := range map[string]int{discovery.KeysPath: 405, discovery.MetadataPath: 405, "/": 403, "/docs": 403, "/auth/login": login} {
			if e := r.ask("POST", path, "Origin: "+corsApp, "Sec-Fetch-Site: cross-site"); e.StatusCode != want {
				t.Errorf("CORS %t, %s: %d, want %d", cors != nil, path, e.StatusCode, want)
			}
		}
	}
}

// TestCheckCORS checks faults of a policy that depend on other fields, and the
// defaults that Check sets in a valid one.
func TestCheckCORS(t *testing.T) {
	key := must(token.GenerateKey(token.HS256))
	for want, change := range map[string]func(*Config){
		"": func(c *Config) { c.AuthCORS = &proxy.CORS{Origins: []string{"*"}} },
		"Config.AuthCORS: the gateway's own paths have no upstream": func(c *Config) { c.AuthCORS = &proxy.CORS{Upstream: true} },
		"Config.AuthCORS: there are no logins":                      func(c *Config) { c.NoAuth, c.AuthCORS = true, &proxy.CORS{Origins: []string{corsApp}} },
		"Config.AuthCORS: the gateway sets":                         func(c *Config) { c.AuthCORS = &proxy.CORS{Origins: []string{corsApp}, Expose: []string{"X-A"}} },
		"Config.AuthCORS.Origins: at least one":                     func(c *Config) { c.AuthCORS = &proxy.CORS{} },
		"Config.Routes[0].CORS.Origins: the upstream sets CORS":     func(c *Config) { c.Routes[0].CORS = &proxy.CORS{Upstream: true, Origins: []string{corsApp}} },
		"Config.Routes[0].CORS.Origins[0]: \"https://*.example.com\"": func(c *Config) {
			c.Routes[0].CORS = &proxy.CORS{Credentials: true, Origins: []string{"https://*.example.com"}}
		},
		"Config.Routes[0].CORS.MaxAge: must be": func(c *Config) {
			c.Routes[0].CORS = &proxy.CORS{Origins: []string{corsApp}, MaxAge: 25 * 60 * 60 * 1e9}
		},
	} {
		c := Config{Tokens: tokens.Config{Keys: must(token.NewKeySet(key))}, Login: login.Config{Users: demo.Users{}}, Routes: []proxy.Route{{Path: "/", Upstreams: []string{"http://127.0.0.1:9"}}}}
		change(&c)
		_, err := c.Check()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
