package wsauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"wsauth"
	"wsauth/internal/wsconn"
	"wsauth/token"
)

// TestSecurityPageLimits checks that the limits in docs/security.md are those
// of the code: a value at the limit passes, and one more does not.
func TestSecurityPageLimits(t *testing.T) {
	key, err := token.GenerateKey(token.HS256)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := token.NewKeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: keys})
	if err != nil {
		t.Fatal(err)
	}
	seconds := func(d time.Duration) string { return fmt.Sprintf("%v s", d.Seconds()) }
	configures := func(c token.VerifierConfig) bool {
		c.Keys = keys
		_, err := token.NewVerifier(c)
		return err == nil
	}
	want := map[string][]string{
		"a token":                            {"8192 bytes", "65536"},
		"a token's life":                     {"366 days"},
		"difference of clocks":               {"60 s"},
		"a token in a cookie, with the name": {"4096 bytes"},
		"what a client sends before it has authenticated":                        {"64 KiB", "10 s", "60 s"},
		"the closing of a socket by the guard":                                   {seconds(wsconn.Grace / 2), seconds(wsconn.Grace)},
		"a response to a handshake that is not upgraded":                         {seconds(wsconn.Grace)},
		"a clock set back after a token was issued (`iat` and `nbf`, not `exp`)": {"60 s", "5 s"},
		"data that a client has not received when the handler closes the socket": {seconds(wsconn.Grace), seconds(wsconn.MaxGrace), "1 KiB"},
	}
	for _, row := range tableRows(readDoc(t, "docs/security.md"), "| what | limit | where to change it |") {
		got := regexp.MustCompile(`\b\d[\d.]*(?: (?:s|KiB|bytes|days))?\b`).FindAllString(row[2], -1)
		if strings.Join(got, ", ") != strings.Join(want[row[1]], ", ") {
			t.Errorf("%s: the page says %q, the test %q", row[1], got, want[row[1]])
		}
		delete(want, row[1])
	}
	for row := range want {
		t.Errorf("the page has no row %q", row)
	}

	migrating := readDoc(t, "docs/migrating.md")
	for _, sentence := range []string{
		"| `decode_leeway` | `token.VerifierConfig.Leeway` | at most 60 s |",
		"`exp` is required, and at most 366 days",
		"at least as long as the hash: 32 bytes for HS256;",
	} {
		if !strings.Contains(migrating, sentence) {
			t.Errorf("docs/migrating.md does not say %q", sentence)
		}
	}
	for n, ok := range map[int]bool{31: false, 32: true} {
		secret := make([]byte, n)
		for i := range secret {
			secret[i] = byte(7*i + 1)
		}
		if _, err := token.NewKey(token.HS256, secret, token.KeyOptions{}); (err == nil) != ok {
			t.Errorf("a secret of %d bytes: %v", n, err)
		}
	}

	const longest = 8192
	verifier, err := token.NewVerifier(token.VerifierConfig{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	fits := ""
	for n := 5000; len(fits) < longest; n++ {
		made, err := issuer.Access("a", token.Options{Claims: map[string]any{"x": strings.Repeat("x", n)}})
		if err != nil {
			t.Fatal(err)
		}
		fits = made.Raw
	}
	if _, err := verifier.Verify(t.Context(), fits); err != nil || len(fits) != longest {
		t.Errorf("a token of %d bytes: %v", len(fits), err)
	}
	if _, err := verifier.Verify(t.Context(), fits+"x"); err == nil || !strings.Contains(err.Error(), "longer than MaxBytes") {
		t.Errorf("a token of %d bytes: %v", len(fits)+1, err)
	}
	const life = 366 * 24 * time.Hour
	for ttl, ok := range map[time.Duration]bool{life: true, life + time.Second: false} {
		if _, err := issuer.Access("a", token.Options{TTL: ttl}); (err == nil) != ok {
			t.Errorf("a token for %v: %v", ttl, err)
		}
	}
	for name, c := range map[string][2]token.VerifierConfig{
		"MaxBytes":     {{MaxBytes: 65536}, {MaxBytes: 65537}},
		"Leeway":       {{Leeway: time.Minute}, {Leeway: time.Minute + 1}},
		"IssuedLeeway": {{IssuedLeeway: time.Minute}, {IssuedLeeway: time.Minute + 1}},
	} {
		if !configures(c[0]) || configures(c[1]) {
			t.Errorf("%s: at the limit %v, beyond it %v", name, configures(c[0]), configures(c[1]))
		}
	}
	for timeout, ok := range map[time.Duration]bool{time.Minute: true, time.Minute + 1: false} {
		_, err := wsauth.New(wsauth.Config{Verifier: verifier, Extractors: []wsauth.Extractor{wsauth.FirstMessage{Timeout: timeout}}})
		if (err == nil) != ok {
			t.Errorf("FirstMessage.Timeout %v: %v", timeout, err)
		}
	}
	cookies := wsauth.Cookies{}
	const name = "__Host-access_token_cookie"
	for n, ok := range map[int]bool{4096 - len(name): true, 4096 - len(name) + 1: false} {
		r := httptest.NewRequest(http.MethodGet, "https://app.example/", nil)
		made := &token.Token{Raw: strings.Repeat("x", n), Claims: &token.Claims{Type: token.TypeAccess, CSRF: "c", ExpiresAt: time.Now().Add(time.Hour)}}
		if err := cookies.SetTokens(httptest.NewRecorder(), r, made); (err == nil) != ok {
			t.Errorf("a cookie of %d bytes: %v", n+len(name), err)
		}
	}
}
