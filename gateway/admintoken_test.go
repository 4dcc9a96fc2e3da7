package gateway

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAdminPortNeedsItsToken(t *testing.T) {
	secret := rand.Text() + rand.Text()
	r := start(t)
	o := r.port(secret)
	for name, tt := range map[string]struct {
		headers []string
		status  int
		reason  string
	}{
		"none":                  {nil, 401, "token_missing"},
		"another scheme":        {[]string{"Authorization: Basic " + secret}, 401, "token_missing"},
		"two":                   {[]string{"Authorization: Bearer " + secret, "Authorization: Bearer " + secret}, 401, "token_missing"},
		"empty":                 {[]string{"Authorization: Bearer "}, 401, "token_missing"},
		"in a cookie":           {[]string{"Cookie: token=" + secret}, 401, "token_missing"},
		"wrong":                 {[]string{"Authorization: Bearer " + secret + "x"}, 401, "token_invalid"},
		"begins well":           {[]string{"Authorization: Bearer " + secret[:len(secret)-1]}, 401, "token_invalid"},
		"right":                 {[]string{"Authorization: bearer " + secret}, 200, ""},
		"of a page":             {[]string{"Authorization: Bearer " + secret, "Origin: " + o.url}, 403, "origin_not_allowed"},
		"of no page in view":    {[]string{"Authorization: Bearer " + secret, "Origin: null"}, 403, "origin_not_allowed"},
		"of a browser":          {[]string{"Authorization: Bearer " + secret, "Sec-Fetch-Site: same-origin"}, 403, "origin_not_allowed"},
		"what a browser checks": {[]string{"Sec-Fetch-Mode: cors", "Access-Control-Request-Method: POST"}, 403, "origin_not_allowed"},
	} {
		e := o.call("GET", "/v1/status", "", tt.headers...)
		if e.StatusCode != tt.status || !strings.Contains(e.body, tt.reason) || (e.StatusCode == 401) != (e.Header.Get("WWW-Authenticate") == "Bearer") ||
			e.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %s %v", name, e.StatusCode, e.body, e.Header)
		}
	}
	// The token of a user is not that of the operators.
	access, _ := r.login()
	wantProblem(t, o.call("GET", "/v1/sockets", "", bearer(access)), 401, "token_invalid", "")
	for name, secret := range map[string]string{"token": secret, "user's token": access} {
		if strings.Contains(r.log.String(), secret) {
			t.Errorf("the log holds the %s", name)
		}
	}
	if !strings.Contains(r.log.String(), `msg="admin: refused" reason=token_invalid remote=127.0.0.1`) {
		t.Errorf("no refusal is logged: %s", r.log)
	}
}

func TestAdminPortLimitsTries(t *testing.T) {
	secret := rand.Text() + rand.Text()
	r := start(t)
	o := r.port(secret)
	for range 30 {
		if e := o.call("GET", "/v1/status", "", "Authorization: Bearer "+secret); e.StatusCode != 200 {
			t.Fatalf("good tries count: %d %s", e.StatusCode, e.body)
		}
	}
	for i := range 12 {
		e := o.call("GET", "/v1/status", "", "Authorization: Bearer "+rand.Text()+rand.Text())
		if want := map[bool]int{true: 401, false: 429}[i < 10]; e.StatusCode != want {
			t.Errorf("try %d: %d %s, want %d", i, e.StatusCode, e.body, want)
		}
		if e.StatusCode == 429 && e.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if got := strings.Count(r.log.String(), "admin: refused"); got != 10 {
		t.Errorf("%d lines in the log", got)
	}
}

// TestAdminTriesComeBack: after as many wrong tokens as docs/admin.md says,
// one more is looked at each time that it says. Another address has its own.
func TestAdminTriesComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := rand.Text() + rand.Text()
		port := newAdminToken(fixedToken(good), slog.New(slog.DiscardHandler)).require(http.NotFoundHandler())
		try := func(address, token string, want int) {
			t.Helper()
			r := httptest.NewRequest(http.MethodGet, "/v1/status", nil)
			r.RemoteAddr = address
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			port.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s at %v: %d, want %d", address, time.Now(), w.Code, want)
			}
		}
		const here, there = "192.0.2.1:1", "192.0.2.2:1"
		for range adminTries {
			try(here, "wrong", http.StatusUnauthorized)
		}
		for range 3 {
			try(here, "wrong", http.StatusTooManyRequests)
			try(here, good, http.StatusTooManyRequests) // nobody can tell
			time.Sleep(adminTryEvery - 1)
			try(here, "wrong", http.StatusTooManyRequests)
			time.Sleep(time.Nanosecond)
			try(here, "wrong", http.StatusUnauthorized)
		}
		try(there, "wrong", http.StatusUnauthorized)
		try(there, good, http.StatusNotFound)
	})
}

// TestAdminTokenFile checks that only the token in the file is valid, and that
// an unusable file does not replace it.
func TestAdminTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.token")
	put := func(token string) {
		if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, second := rand.Text()+rand.Text(), rand.Text()+rand.Text()
	put(first)
	file, err := OpenAdminTokenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := start(t)
	o := r.portOf(AdminConfig{TokenFile: file})
	inUse := func(what, right, wrong string) {
		t.Helper()
		if e := o.call("GET", "/v1/status", "", bearer(right)); e.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", what, e.StatusCode)
		}
		if e := o.call("GET", "/v1/status", "", bearer(wrong)); e.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: the other token: %d", what, e.StatusCode)
		}
	}
	inUse("at first", first, second)
	if changed, err := file.Reload(); changed || err != nil {
		t.Error(changed, err)
	}
	for _, unusable := range []string{"", "short", strings.Repeat("a", 50)} {
		put(unusable)
		if changed, err := file.Reload(); changed || err == nil || len(unusable) > 0 && strings.Contains(err.Error(), unusable+" ") {
			t.Errorf("%q: %v, %v", unusable, changed, err)
		}
		inUse("after "+unusable, first, second)
	}
	put(second)
	if changed, err := file.Reload(); !changed || err != nil {
		t.Error(changed, err)
	}
	inUse("the second", second, first)
	if _, err := OpenAdminTokenFile(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
