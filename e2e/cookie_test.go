package e2e

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// send clicks the example's only button and waits for the socket's end.
func send(b *tab) end {
	b.t.Helper()
	b.watchSockets()
	b.click("#send")
	return b.lastEnd()
}

// TestCookieExample checks the cookie example in a browser: before the login,
// after it, and with an altered or missing CSRF value.
func TestCookieExample(t *testing.T) {
	server := start(t, "cookie", "-addr", "127.0.0.1:0")
	page := newTab(t)

	page.open(server.url)
	if diff := cmp.Diff(refusedEnd("Missing cookie access_token_cookie", 3000, "token_missing"), send(page)); diff != "" {
		t.Errorf("before the login: %s", diff)
	}

	page.open(server.url + "/get-cookie")
	if got := strings.TrimSpace(page.text("body")); got != `{"msg":"Successfully login"}` {
		t.Errorf("/get-cookie shows %q", got)
	}
	page.open(server.url)
	if seen := run[string](page, "document.cookie"); strings.Contains(seen, "_token_cookie") || !strings.Contains(seen, "csrf_access_token=") {
		t.Errorf("the page can read the cookies %q, want the two CSRF values alone", seen)
	}
	got := send(page)
	wantLogin(t, got, accessClaims)
	if shown := run[[]string](page, listedMessages); !cmp.Equal(shown, got.Messages) {
		t.Errorf("the page shows %q of the messages %q", shown, got.Messages)
	}

	for _, attack := range []struct{ name, cookie, text string }{
		{"altered CSRF value", "csrf_access_token=00000000-0000-4000-8000-000000000000; path=/", "CSRF double submit tokens do not match"},
		{"no CSRF value", "csrf_access_token=; path=/; max-age=0", "Missing CSRF Token"},
	} {
		page.open(server.url)
		run[string](page, `document.cookie = "`+attack.cookie+`"`)
		if diff := cmp.Diff(refusedEnd(attack.text, 3003, "csrf_mismatch"), send(page)); diff != "" {
			t.Errorf("%s: %s", attack.name, diff)
		}
	}
}

// TestCookieExampleWithoutCSRF checks that the example sets no cookies that the
// page can read, and that its socket opens, without CSRF protection.
func TestCookieExampleWithoutCSRF(t *testing.T) {
	server := start(t, "cookie", "-addr", "127.0.0.1:0", "-csrf=false", "-check", "refresh")
	page := newTab(t)
	page.open(server.url + "/get-cookie")
	page.open(server.url)
	if seen := run[string](page, "document.cookie"); seen != "" {
		t.Errorf("the page can read the cookies %q", seen)
	}
	wantLogin(t, send(page), refreshClaims)
}

// TestCookieExampleOptional checks that with -check optional, the socket opens
// without a login and with one.
func TestCookieExampleOptional(t *testing.T) {
	server := start(t, "cookie", "-addr", "127.0.0.1:0", "-check", "optional")
	page := newTab(t)
	page.open(server.url)
	wantLogin(t, send(page), nil)
	page.open(server.url + "/get-cookie")
	page.open(server.url)
	wantLogin(t, send(page), accessClaims)
}
