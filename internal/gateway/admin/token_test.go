package admin

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

// tokenFile returns a TokenFile whose token is secret.
func tokenFile(t *testing.T, secret string) *TokenFile {
	t.Helper()
	path := filepath.Join(t.TempDir(), "admin.token")
	putToken(t, path, secret)
	file, err := OpenTokenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func putToken(t *testing.T, path, secret string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// withToken sets the token of the port.
func withToken(t *testing.T, secret string) func(*Config) {
	return func(c *Config) { c.TokenFile = tokenFile(t, secret) }
}

// TestToken checks that a port accepts only the operators' token, and refuses
// browsers.
func TestToken(t *testing.T) {
	secret := rand.Text() + rand.Text()
	r := newRig(t, withToken(t, secret))
	for name, tt := range map[string]struct {
		headers []string
		status  int
		reason  string
	}{
		"none":           {nil, 401, "token_missing"},
		"another scheme": {[]string{"Authorization: Basic " + secret}, 401, "token_missing"},
		"two":            {[]string{"Authorization: Bearer " + secret, "Authorization: Bearer " + secret}, 401, "token_missing"},
		"empty":          {[]string{"Authorization: Bearer "}, 401, "token_missing"},
		"in a cookie":    {[]string{"Cookie: token=" + secret}, 401, "token_missing"},
		"longer":         {[]string{"Authorization: Bearer " + secret + "x"}, 401, "token_invalid"},
		"shorter":        {[]string{"Authorization: Bearer " + secret[:len(secret)-1]}, 401, "token_invalid"},
		"right":          {[]string{"Authorization: bearer " + secret}, 200, ""},
		"page":           {[]string{"Authorization: Bearer " + secret, "Origin: http://localhost"}, 403, "origin_not_allowed"},
		"sandboxed page": {[]string{"Authorization: Bearer " + secret, "Origin: null"}, 403, "origin_not_allowed"},
		"browser":        {[]string{"Authorization: Bearer " + secret, "Sec-Fetch-Site: same-origin"}, 403, "origin_not_allowed"},
		"preflight":      {[]string{"Sec-Fetch-Mode: cors", "Access-Control-Request-Method: POST"}, 403, "origin_not_allowed"},
	} {
		w := call(r.api.port, http.MethodGet, "/v1/status", "", tt.headers...)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.reason) || (w.Code == 401) != (w.Header().Get("WWW-Authenticate") == "Bearer") ||
			w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %s %v", name, w.Code, w.Body, w.Header())
		}
	}
	if log := r.log.String(); strings.Contains(log, secret) || !strings.Contains(log, `msg="admin: refused" reason=token_invalid remote=192.0.2.1`) {
		t.Errorf("the log: %s", log)
	}
}

// TestTries checks how many wrong tokens a network may try, and that valid ones
// do not count.
func TestTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := rand.Text() + rand.Text()
		port := requireToken(tokenFile(t, good), slog.New(slog.DiscardHandler), http.NotFoundHandler())
		try := func(address, token string, want int) {
			t.Helper()
			r := httptest.NewRequest(http.MethodGet, "/v1/status", nil)
			r.RemoteAddr = address
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			port.ServeHTTP(w, r)
			if w.Code != want || (w.Code == http.StatusTooManyRequests) != (w.Header().Get("Retry-After") != "") {
				t.Errorf("%s at %v: %d, want %d", address, time.Now(), w.Code, want)
			}
		}
		const here, there = "192.0.2.1:1", "192.0.2.2:1"
		for range 3 * maxTries {
			try(here, good, http.StatusNotFound)
		}
		for range maxTries {
			try(here, "wrong", http.StatusUnauthorized)
		}
		for range 3 {
			try(here, "wrong", http.StatusTooManyRequests)
			try(here, good, http.StatusTooManyRequests) // the limit hides that it is right
			time.Sleep(tryEvery - 1)
			try(here, "wrong", http.StatusTooManyRequests)
			time.Sleep(time.Nanosecond)
			try(here, "wrong", http.StatusUnauthorized)
		}
		try(there, "wrong", http.StatusUnauthorized)
		try(there, good, http.StatusNotFound)
	})
}

// TestTokenFile checks that only the token in the file is valid, and that an
// unusable file does not replace it.
func TestTokenFile(t *testing.T) {
	first, second := rand.Text()+rand.Text(), rand.Text()+rand.Text()
	file := tokenFile(t, first)
	wantInUse := func(what, right, wrong string) {
		t.Helper()
		if !file.matches(right) || file.matches(wrong) {
			t.Errorf("%s: the right token %v, the other %v", what, file.matches(right), file.matches(wrong))
		}
	}
	wantInUse("at first", first, second)
	if changed, err := file.Reload(); changed || err != nil {
		t.Error(changed, err)
	}
	for _, unusable := range []string{"", "short", strings.Repeat("a", 50)} {
		putToken(t, file.path, unusable)
		if changed, err := file.Reload(); changed || err == nil || len(unusable) > 0 && strings.Contains(err.Error(), unusable+" ") {
			t.Errorf("%q: got %v, %v", unusable, changed, err)
		}
		wantInUse("after "+unusable, first, second)
	}
	putToken(t, file.path, second)
	if changed, err := file.Reload(); !changed || err != nil {
		t.Error(changed, err)
	}
	wantInUse("the second", second, first)
	if _, err := OpenTokenFile(file.path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that does not exist: %v", err)
	}
}
