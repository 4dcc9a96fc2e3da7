package main

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wsauth/examples/internal/seedtest"
)

var checks = []string{"required", "optional", "refresh", "fresh"}

func start(t *testing.T, check string, csrf bool) *seedtest.Server {
	t.Helper()
	routes, err := newRoutes(check, csrf)
	if err != nil {
		t.Fatal(err)
	}
	return seedtest.Start(t, routes, openapi)
}

func TestDocument(t *testing.T) {
	routes, err := newRoutes("required", true)
	if err != nil {
		t.Fatal(err)
	}
	seedtest.CheckDocument(t, routes, openapi)
}

func TestPage(t *testing.T) {
	answer := start(t, "required", true).Call(t, "GET", "/", "")
	if answer.Status != http.StatusOK || answer.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("got %d %v", answer.Status, answer.Header)
	}
	for _, part := range []string{">Send</button>", `<ul id="messages">`, "${location.host}/ws?csrf_token="} {
		if !strings.Contains(answer.Body, part) {
			t.Errorf("the page has no %s", part)
		}
	}
	if strings.Contains(answer.Body, "<textarea") {
		t.Error("the page asks for a token")
	}
}

func TestHTTP(t *testing.T) {
	const notFound, notAllowed = `{"detail":"Not Found"}`, `{"detail":"Method Not Allowed"}`
	server := start(t, "required", true)
	for _, tt := range []struct {
		method, path string
		status       int
		body, allow  string
	}{
		{"POST", "/get-cookie", 405, notAllowed, "GET"},
		{"DELETE", "/get-cookie", 405, notAllowed, "GET"},
		{"POST", "/", 405, notAllowed, "GET"},
		{"POST", "/docs", 405, notAllowed, "GET"},
		{"GET", "/login", 404, notFound, ""},
		{"POST", "/unknown", 404, notFound, ""},
		{"GET", "/ws?csrf_token=a", 404, notFound, ""},
	} {
		answer := server.Call(t, tt.method, tt.path, "")
		if answer.Status != tt.status || answer.Body != tt.body || answer.Header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: got %d %s %v", tt.method, tt.path, answer.Status, answer.Body, answer.Header)
		}
		if len(answer.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s %s sets cookies", tt.method, tt.path)
		}
	}
}

// getCookie logs in, and returns the values of the cookies. The cookies must
// have these names, in this order, and the right attributes.
func getCookie(t *testing.T, server *seedtest.Server, names ...string) map[string]string {
	t.Helper()
	answer := server.Call(t, "GET", "/get-cookie", "")
	if answer.Status != http.StatusOK || answer.Body != `{"msg":"Successfully login"}` || answer.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d %s %v", answer.Status, answer.Body, answer.Header)
	}
	field := regexp.MustCompile(`^([a-z_]+)=([^;]+); Path=/(; HttpOnly)?; SameSite=Lax$`)
	var got []string
	values := map[string]string{}
	for _, line := range answer.Header["Set-Cookie"] {
		match := field.FindStringSubmatch(line)
		if match == nil {
			t.Fatalf("Set-Cookie: %s", line)
		}
		got = append(got, match[1])
		values[match[1]] = match[2]
		if hidden := match[3] != ""; hidden != strings.HasSuffix(match[1], "_token_cookie") {
			t.Errorf("%s is HttpOnly: %v", match[1], hidden)
		}
	}
	if diff := cmp.Diff(names, got); diff != "" {
		t.Fatalf("cookies: %s", diff)
	}
	return values
}

func TestTokens(t *testing.T) {
	server := start(t, "required", true)
	seen := map[string]bool{}
	for range 3 {
		cookies := getCookie(t, server, "access_token_cookie", "csrf_access_token", "refresh_token_cookie", "csrf_refresh_token")
		access, accessCSRF := seedtest.CheckIssued(t, seedtest.Fresh, cookies["access_token_cookie"])
		refresh, refreshCSRF := seedtest.CheckIssued(t, seedtest.Refresh, cookies["refresh_token_cookie"])
		if accessCSRF != cookies["csrf_access_token"] || refreshCSRF != cookies["csrf_refresh_token"] {
			t.Error("a csrf claim differs from its cookie")
		}
		for _, id := range []string{access, accessCSRF, refresh, refreshCSRF} {
			if id == "" || seen[id] {
				t.Errorf("%q is not new", id)
			}
			seen[id] = true
		}
	}
}

func TestTokensWithoutCSRF(t *testing.T) {
	cookies := getCookie(t, start(t, "required", false), "access_token_cookie", "refresh_token_cookie")
	_, accessCSRF := seedtest.CheckIssued(t, seedtest.Fresh, cookies["access_token_cookie"])
	_, refreshCSRF := seedtest.CheckIssued(t, seedtest.Refresh, cookies["refresh_token_cookie"])
	if accessCSRF != "" || refreshCSRF != "" {
		t.Error("a csrf claim without CSRF protection")
	}
}

func TestLogin(t *testing.T) {
	server := start(t, "required", true)
	cookies := getCookie(t, server, "access_token_cookie", "csrf_access_token", "refresh_token_cookie", "csrf_refresh_token")
	_, payload := seedtest.Parts(t, cookies["access_token_cookie"])
	var pairs []string
	for name, value := range cookies {
		pairs = append(pairs, name+"="+value)
	}
	sent := "Cookie: " + strings.Join(pairs, "; ")
	for _, origin := range []string{"X-None: ", "Origin: " + server.URL} {
		seedtest.CheckLogin(t, server.Dial(t, "/ws?csrf_token="+cookies["csrf_access_token"], sent, origin), payload)
	}
	other := server.Dial(t, "/ws?csrf_token="+cookies["csrf_refresh_token"], sent)
	if diff := cmp.Diff(mismatch, other); diff != "" {
		t.Errorf("with the value of the refresh token: %s", diff)
	}
}

var (
	mismatch = seedtest.Refused("CSRF double submit tokens do not match", seedtest.Forbidden, "csrf_mismatch")
	notGiven = seedtest.Refused("Missing CSRF Token", seedtest.Forbidden, "csrf_mismatch")
	noClaim  = seedtest.Refused("Missing claim: csrf", seedtest.Forbidden, "csrf_mismatch")
)

// program returns a Program with a server for each of the four checks. It sends
// handshakes as the server's own page does.
func program(t *testing.T, csrf bool) seedtest.Program {
	servers := map[string]*seedtest.Server{}
	for _, check := range checks {
		servers[check] = start(t, check, csrf)
	}
	const access, refresh = "Missing cookie access_token_cookie", "Missing cookie refresh_token_cookie"
	p := seedtest.Program{
		Ask: func(t *testing.T, check string, d *seedtest.Draft) seedtest.Talk {
			t.Helper()
			fields := []string{"Origin: " + servers[check].URL}
			if !d.Absent {
				fields = append(fields, cookie(check, d.Token(t)))
			}
			return servers[check].Dial(t, "/ws?csrf_token="+url.QueryEscape(d.CSRF), fields...)
		},
		Missing: map[string]string{"required": access, "refresh": refresh, "fresh": access},
	}
	if csrf {
		p.Before = []seedtest.Fault{{Name: "csrf given", Spoil: func(d *seedtest.Draft) { d.CSRF = "" }, Talk: notGiven}}
		p.After = []seedtest.Fault{
			{Name: "csrf claim", Spoil: func(d *seedtest.Draft) { delete(d.Claims, "csrf") }, Talk: noClaim},
			{Name: "csrf equal", Spoil: func(d *seedtest.Draft) { d.CSRF += d.CSRF }, Talk: mismatch},
		}
	}
	return p
}

// cookie returns the header line with the cookie that the check reads.
func cookie(check, token string) string {
	if check == "refresh" {
		return "Cookie: refresh_token_cookie=" + token
	}
	return "Cookie: access_token_cookie=" + token
}

func TestChecks(t *testing.T)  { program(t, true).TestChecks(t) }
func TestOrder(t *testing.T)   { program(t, true).TestOrder(t) }
func TestHostile(t *testing.T) { program(t, true).TestHostile(t) }

func TestChecksWithoutCSRF(t *testing.T)  { program(t, false).TestChecks(t) }
func TestOrderWithoutCSRF(t *testing.T)   { program(t, false).TestOrder(t) }
func TestHostileWithoutCSRF(t *testing.T) { program(t, false).TestHostile(t) }

// TestCSRFValues checks valid and invalid CSRF values, some of which are not
// ASCII.
func TestCSRFValues(t *testing.T) {
	server := start(t, "required", true)
	for _, tt := range []struct {
		name, claim, query string
		want               *seedtest.Talk // nil: a successful login
	}{
		{"equal", "a", "csrf_token=a", nil},
		{"equal, not ASCII", "é", "csrf_token=%C3%A9", nil},
		{"not ASCII in the query", "a", "csrf_token=%C3%A9", &mismatch},
		{"not ASCII in the claim", "é", "csrf_token=a", &mismatch},
		{"not UTF-8", "a", "csrf_token=%FF", &mismatch},
		{"NUL", "a", "csrf_token=a%00", &mismatch},
		{"cut", "ab", "csrf_token=a", &mismatch},
		{"longer", "a", "csrf_token=ab", &mismatch},
		{"in another case", "a", "csrf_token=A", &mismatch},
		{"empty", "a", "csrf_token=", &notGiven},
		{"only a name", "a", "csrf_token", &notGiven},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := seedtest.NewDraft(seedtest.Fresh)
			d.Claims["csrf"] = tt.claim
			token := d.Token(t)
			got := server.Dial(t, "/ws?"+tt.query, cookie("required", token))
			if tt.want == nil {
				_, payload := seedtest.Parts(t, token)
				seedtest.CheckLogin(t, got, payload)
			} else if diff := cmp.Diff(*tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestCookies checks cookies that are empty, repeated or under another name.
func TestCookies(t *testing.T) {
	server := start(t, "required", true)
	d := seedtest.NewDraft(seedtest.Fresh)
	token := d.Token(t)
	missing := seedtest.Refused("Missing cookie access_token_cookie", seedtest.Unauthorized, "token_missing")
	twice := seedtest.Refused("More than one cookie access_token_cookie", seedtest.Forbidden, "invalid_request")
	for field, want := range map[string]seedtest.Talk{
		"Cookie: access_token_cookie=":                                            missing,
		"Cookie: refresh_token_cookie=" + token:                                   missing,
		"Cookie: Access_token_cookie=" + token:                                    missing,
		"Authorization: Bearer " + token:                                          missing,
		"Cookie: access_token_cookie=" + token + "; access_token_cookie=" + token: twice,
	} {
		if diff := cmp.Diff(want, server.Dial(t, "/ws?csrf_token="+d.CSRF, field)); diff != "" {
			t.Errorf("%s: %s", strings.ReplaceAll(field, token, "…"), diff)
		}
	}
}

// TestParameterAbsent checks that no socket opens without the parameter
// csrf_token, whatever the check is, even without CSRF protection.
func TestParameterAbsent(t *testing.T) {
	for _, csrf := range []bool{true, false} {
		for _, check := range checks {
			server := start(t, check, csrf)
			d := seedtest.NewDraft(seedtest.Fresh)
			for _, field := range []string{"X-None: ", cookie(check, d.Token(t)), "X-CSRF-Token: " + d.CSRF} {
				got := server.Dial(t, "/ws", field, "Origin: "+server.URL)
				if diff := cmp.Diff(seedtest.Talk{Status: http.StatusForbidden}, got); diff != "" {
					t.Errorf("%s, CSRF protection %v: %s", check, csrf, diff)
				}
			}
		}
	}
}

// TestNoOriginWithoutCSRF checks that without CSRF protection, a handshake must
// have the Origin of the server's own page.
func TestNoOriginWithoutCSRF(t *testing.T) {
	server := start(t, "required", false)
	token := seedtest.NewDraft(seedtest.Fresh).Token(t)
	got := server.Dial(t, "/ws?csrf_token=", cookie("required", token))
	if got.Status != http.StatusForbidden || !strings.Contains(got.Body, `"reason":"origin_not_allowed"`) {
		t.Errorf("got %+v", got)
	}
	_, payload := seedtest.Parts(t, token)
	seedtest.CheckLogin(t, server.Dial(t, "/ws?csrf_token=", cookie("required", token), "Origin: "+server.URL), payload)
}

func TestHandshake(t *testing.T) {
	d := seedtest.NewDraft(seedtest.Fresh)
	seedtest.CheckHandshake(t, start(t, "required", true), "/ws?csrf_token="+d.CSRF, cookie("required", d.Token(t)))
}
