package attack

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wsauth"
	"wsauth/token"
)

// TestCookiePrefix checks that cookies are Secure and have a prefix, except on
// the developer's own machine (C4).
func TestCookiePrefix(t *testing.T) {
	made := issue(t, token.TypeAccess, "alice", token.Options{CSRF: true})
	overTLS := func(r *http.Request) { r.TLS = &tls.ConnectionState{} }
	withHeader := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, c := range map[string]struct {
		host   string
		change func(*http.Request)
		secure bool
	}{
		"localhost": {"localhost", nil, false}, "localhost_port": {"localhost:8000", nil, false}, "subdomain": {"app.localhost:8000", nil, false},
		"ipv4": {"127.0.0.1:8000", nil, false}, "ipv4_net": {"127.8.8.8", nil, false}, "ipv6": {"[::1]:8000", nil, false}, "ipv6_bare": {"[::1]", nil, false},
		"own_origin": {"localhost", withHeader("Origin", "http://localhost:3000"), false}, "ipv6_origin": {"[::1]:1", withHeader("Origin", "http://[::1]:3000"), false},
		"host": {"app.example", nil, true}, "port": {"app.example:8000", nil, true}, "empty": {"", nil, true}, "any": {"0.0.0.0", nil, true},
		"lan": {"192.168.1.1", nil, true}, "suffix": {"localhost.evil.example", nil, true}, "prefix": {"evillocalhost", nil, true},
		"ip_suffix": {"127.0.0.1.evil.example", nil, true}, "short_ip": {"127.1", nil, true}, "decimal_ip": {"2130706433", nil, true},
		"mapped_lan": {"[::ffff:192.168.1.1]", nil, true}, "trailing_dot": {"localhost.", nil, true}, "userinfo": {"localhost@evil.example", nil, true},
		"tls": {"localhost", overTLS, true}, "forwarded": {"localhost", withHeader("Forwarded", "for=1"), true}, "x_forwarded_for": {"localhost", withHeader("X-Forwarded-For", "1"), true},
		"x_forwarded_host": {"localhost", withHeader("X-Forwarded-Host", "app.example"), true}, "x_forwarded_proto": {"localhost", withHeader("X-Forwarded-Proto", "http"), true},
		"x_real_ip": {"localhost", withHeader("X-Real-IP", "1"), true}, "via": {"localhost", withHeader("Via", "1.1 x"), true},
		"foreign_origin": {"localhost", withHeader("Origin", "https://app.example"), true}, "null_origin": {"localhost", withHeader("Origin", "null"), true},
	} {
		t.Run("C4/prefix_"+name, func(t *testing.T) {
			r := request(t, plain("POST", "/"))
			r.Host = c.host
			if c.change != nil {
				c.change(r)
			}
			jar := wsauth.Cookies{}
			w := httptest.NewRecorder()
			if err := jar.SetTokens(w, r, made); err != nil {
				t.Fatal(err)
			}
			want := []string{
				"access_token_cookie=" + made.Raw + "; Path=/; HttpOnly; SameSite=Lax",
				"csrf_access_token=" + made.Claims.CSRF + "; Path=/; SameSite=Lax",
			}
			if c.secure {
				want[0] = "__Host-" + strings.Replace(want[0], "HttpOnly;", "HttpOnly; Secure;", 1)
				want[1] = strings.Replace(want[1], "Path=/;", "Path=/; Secure;", 1)
			}
			if diff := cmp.Diff(want, w.Header()["Set-Cookie"]); diff != "" {
				t.Error(diff)
			}
			// The request now has the cookies as the browser sends them.
			for _, cookie := range w.Result().Cookies() {
				r.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
			}
			r.Header.Set("X-CSRF-Token", made.Claims.CSRF)
			got, err := jar.Extract(r, wsauth.Access)
			if want := (wsauth.Credential{Token: made.Raw, Ambient: true, CSRFRequired: true, CSRF: made.Claims.CSRF}); err != nil || got != want {
				t.Errorf("Extract: got %v, %v, want %v", got, err, want)
			}
		})
	}
}

// TestCookieAttributes checks that each setting appears in the cookies, and
// that Clear deletes exactly the cookies that were set.
func TestCookieAttributes(t *testing.T) {
	access := &token.Token{Raw: "a", Claims: &token.Claims{Type: token.TypeAccess, CSRF: "ca"}}
	refresh := &token.Token{Raw: "r", Claims: &token.Claims{Type: token.TypeRefresh, CSRF: "cr"}}
	for name, c := range map[string]struct {
		jar  wsauth.Cookies
		want []string
	}{
		"default": {wsauth.Cookies{}, []string{
			"__Host-access_token_cookie=a; Path=/; HttpOnly; Secure; SameSite=Lax", "csrf_access_token=ca; Path=/; Secure; SameSite=Lax",
			"__Host-refresh_token_cookie=r; Path=/; HttpOnly; Secure; SameSite=Lax", "csrf_refresh_token=cr; Path=/; Secure; SameSite=Lax",
		}},
		"no_csrf": {wsauth.Cookies{InsecureNoCSRF: true}, []string{
			"__Host-access_token_cookie=a; Path=/; HttpOnly; Secure; SameSite=Lax", "__Host-refresh_token_cookie=r; Path=/; HttpOnly; Secure; SameSite=Lax",
		}},
		"http": {wsauth.Cookies{InsecureHTTP: true, MaxAge: 90 * time.Second}, []string{
			"access_token_cookie=a; Path=/; Max-Age=90; HttpOnly; SameSite=Lax", "csrf_access_token=ca; Path=/; Max-Age=90; SameSite=Lax",
			"refresh_token_cookie=r; Path=/; Max-Age=90; HttpOnly; SameSite=Lax", "csrf_refresh_token=cr; Path=/; Max-Age=90; SameSite=Lax",
		}},
		"domain": {wsauth.Cookies{Domain: "example.com", SameSite: http.SameSiteStrictMode}, []string{
			"__Secure-access_token_cookie=a; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Strict", "csrf_access_token=ca; Path=/; Domain=example.com; Secure; SameSite=Strict",
			"__Secure-refresh_token_cookie=r; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Strict", "csrf_refresh_token=cr; Path=/; Domain=example.com; Secure; SameSite=Strict",
		}},
		"names_and_paths": {wsauth.Cookies{
			Access:   wsauth.CookieSpec{Name: "A", CSRFName: "CA", CSRFPath: "/ca"},
			Refresh:  wsauth.CookieSpec{Name: "R", Path: "/r", CSRFName: "CR", CSRFPath: "/cr"},
			SameSite: http.SameSiteNoneMode,
		}, []string{
			"__Host-A=a; Path=/; HttpOnly; Secure; SameSite=None", "CA=ca; Path=/ca; Secure; SameSite=None",
			"__Secure-R=r; Path=/r; HttpOnly; Secure; SameSite=None", "CR=cr; Path=/cr; Secure; SameSite=None",
		}},
	} {
		t.Run("C4/"+name, func(t *testing.T) {
			r := request(t, plain("POST", "/"))
			w := httptest.NewRecorder()
			if err := c.jar.SetTokens(w, r, access, refresh); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, w.Header()["Set-Cookie"]); diff != "" {
				t.Error(diff)
			}
			answer := httptest.NewRecorder()
			c.jar.Clear(answer, r)
			cleared := map[string]http.Cookie{}
			for _, k := range answer.Result().Cookies() {
				if k.MaxAge != -1 || k.Value != "" {
					t.Errorf("Clear sets %v", k)
				}
				cleared[k.Name] = *k
			}
			if len(cleared) != 4 {
				t.Errorf("Clear clears %v", cleared)
			}
			for _, set := range w.Result().Cookies() {
				if k := cleared[set.Name]; k.Path != set.Path || k.Domain != set.Domain || k.Secure != set.Secure {
					t.Errorf("%v does not clear %v", k, set)
				}
			}
		})
	}
}

// TestOversizedTokensSetNoCookies checks that if one of two tokens does not fit
// in a cookie or is of a wrong kind, neither of them sets a cookie.
func TestOversizedTokensSetNoCookies(t *testing.T) {
	const prefixed = "__Host-access_token_cookie"
	made := func(typ token.Type, csrf string, size int) *token.Token {
		return &token.Token{Raw: strings.Repeat("x", size), Claims: &token.Claims{Type: typ, CSRF: csrf}}
	}
	for name, c := range map[string]struct {
		token *token.Token
		fault string // "" if the cookies are set
	}{
		"longest":   {made(token.TypeAccess, "c", 4096-len(prefixed)), ""},
		"too_long":  {made(token.TypeAccess, "c", 4096-len(prefixed)+1), "too long"},
		"no_csrf":   {made(token.TypeAccess, "", 9), "csrf claim"},
		"assertion": {made(token.TypeAssertion, "c", 9), "only access and refresh"},
		"no_type":   {made("", "c", 9), "only access and refresh"},
	} {
		t.Run("C4/"+name, func(t *testing.T) {
			w := httptest.NewRecorder()
			err := wsauth.Cookies{}.SetTokens(w, request(t, plain("POST", "/")), made(token.TypeRefresh, "c", 9), c.token)
			set := len(w.Header()["Set-Cookie"])
			if c.fault == "" {
				if err != nil || set != 4 {
					t.Errorf("%d cookies set, error %v", set, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.fault) || strings.Contains(err.Error(), "xxx") || set != 0 {
				t.Errorf("%d cookies set, error %v", set, err)
			}
		})
	}
}

// TestR12_OtherCookiesAreUnchanged checks that Strip does not change the
// cookies of other applications, however they are written.
func TestR12_OtherCookiesAreUnchanged(t *testing.T) {
	for _, c := range []struct{ sent, want []string }{
		{[]string{`a="1;2";;  b=2 ;c; `}, []string{`a="1;2";;  b=2 ;c; `}},
		{[]string{`a="1;2"; access_token_cookie=x;  b=2 ;c`}, []string{`a="1;2";  b=2 ;c`}},
		{[]string{"access_token_cookie=x; a=1;b=2"}, []string{"a=1;b=2"}},
		{[]string{"a=1", "access_token_cookie=x", "b=2"}, []string{"a=1", "b=2"}},
		{[]string{"access_token_cookie=x"}, nil},
		{nil, nil},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if c.sent != nil {
			r.Header["Cookie"] = c.sent
		}
		wsauth.Cookies{}.Strip(r)
		if diff := cmp.Diff(c.want, r.Header["Cookie"]); diff != "" {
			t.Errorf("%q: %s", c.sent, diff)
		}
	}
}
