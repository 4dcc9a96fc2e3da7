package token

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestPayloadOrder checks that the claims are in the order of the Python
// programs that this library replaces, followed by our own claims.
func TestPayloadOrder(t *testing.T) {
	key := testKey(HS256)
	synctest.Test(t, func(t *testing.T) {
		const uuid = `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`
		now := time.Now().Unix()
		plain := must(NewIssuer(IssuerConfig{Key: key}))
		full := must(NewIssuer(IssuerConfig{Key: named(key, "k"), Issuer: "me", Audience: []string{"us"}, AccessTTL: time.Minute, RefreshTTL: time.Hour}))
		times := func(ttl int64) string {
			return fmt.Sprintf(`"sub":"test","iat":%d,"nbf":%d,"jti":"%s","exp":%d`, now, now, uuid, now+ttl)
		}
		for name, tt := range map[string]struct {
			tok  *Token
			want string
		}{
			"access":  {must(plain.Access("test", Options{})), `{` + times(900) + `,"type":"access","fresh":false}`},
			"fresh":   {must(plain.Access("test", Options{Fresh: true, CSRF: true})), `{` + times(900) + `,"type":"access","fresh":true,"csrf":"` + uuid + `"}`},
			"refresh": {must(plain.Refresh("test", Options{})), `{` + times(2592000) + `,"type":"refresh"}`},
			"full": {must(full.Refresh("test", Options{CSRF: true, SessionID: "s", Claims: map[string]any{"b": 1, "a": []int{2}}})),
				`{` + times(3600) + `,"type":"refresh","csrf":"` + uuid + `","sid":"s","iss":"me","aud":"us","a":\[2\],"b":1}`},
			"generation":  {must(plain.Refresh("test", Options{SessionID: "s", Generation: 7})), `{` + times(2592000) + `,"type":"refresh","sid":"s","sid_gen":7}`},
			"audiences":   {must(full.Access("test", Options{Audience: []string{"a", "b"}})), `{` + times(60) + `,"type":"access","fresh":false,"iss":"me","aud":\["a","b"\]}`},
			"no audience": {must(full.Access("test", Options{Audience: []string{}, TTL: 5*time.Second + 1})), `{` + times(5) + `,"type":"access","fresh":false,"iss":"me"}`},
		} {
			if got := string(tt.tok.Claims.Payload()); !regexp.MustCompile("^" + tt.want + "$").MatchString(got) {
				t.Errorf("%s: %s\nwant %s", name, got, tt.want)
			}
		}
	})
}

func TestHeader(t *testing.T) {
	hs, es := testKey(HS256), named(testKey(ES256), "es")
	issuer := must(NewIssuer(IssuerConfig{Key: hs}))
	for want, o := range map[string]Options{
		`{"alg":"HS256","typ":"JWT"}`:                          {},
		`{"alg":"ES256","typ":"JWT","kid":"es"}`:               {Key: es},
		`{"alg":"HS256","typ":"JWT","a":{"c":1,"d":2},"b":""}`: {Headers: map[string]any{"b": "", "a": map[string]int{"d": 2, "c": 1}}},
	} {
		tok := must(issuer.Access("test", o))
		if got := string(must(base64url.DecodeString(strings.Split(tok.Raw, ".")[0]))); got != want {
			t.Errorf("header %s, want %s", got, want)
		}
		wantAccepted(t, newVerifier(t, VerifierConfig{}, named(hs, "hs"), es), strings.Clone(must(issuer.Access("test", Options{Key: es})).Raw))
	}
}

func TestTokensAreUnique(t *testing.T) {
	issuer := must(NewIssuer(IssuerConfig{Key: testKey(HS256)}))
	seen := map[string]bool{}
	var always, ever [16]byte // the bits that are set in each ID, and in any
	for i := range always {
		always[i] = 0xff
	}
	for range 100 {
		c := must(issuer.Access("test", Options{CSRF: true})).Claims
		id := unhex(t, strings.ReplaceAll(c.ID, "-", ""))
		for i := range id {
			always[i] &= id[i]
			ever[i] |= id[i]
		}
		if seen[c.ID] || seen[c.CSRF] || c.ID == c.CSRF {
			t.Fatal("a random value was repeated")
		}
		seen[c.ID], seen[c.CSRF] = true, true
	}
	// RFC 9562 section 5.4: version 4 and variant 10; all other bits are random.
	if want := [16]byte{6: 0x40, 8: 0x80}; always != want {
		t.Errorf("bits that are always set: %x, want %x", always, want)
	}
	if want := [16]byte{255, 255, 255, 255, 255, 255, 0x4f, 255, 0xbf, 255, 255, 255, 255, 255, 255, 255}; ever != want {
		t.Errorf("bits that are ever set: %x, want %x", ever, want)
	}
}

func TestNewIssuerReportsEveryError(t *testing.T) {
	_, err := NewIssuer(IssuerConfig{Key: must(testKey(ES256).Public()), Issuer: "\n", Audience: []string{"a", ""}, AccessTTL: -1, RefreshTTL: 367 * 24 * time.Hour})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, field := range []string{"Key", "Issuer", "Audience", "AccessTTL", "RefreshTTL"} {
		if !regexp.MustCompile(`(?m)^` + field + `: `).MatchString(err.Error()) {
			t.Errorf("no error for %s in:\n%s", field, err)
		}
	}
	for _, key := range []*Key{nil, {}} {
		if _, err := NewIssuer(IssuerConfig{Key: key}); err == nil || !strings.HasPrefix(err.Error(), "Key: ") {
			t.Errorf("no key: %v", err)
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	issuer := must(NewIssuer(IssuerConfig{Key: testKey(HS256)}))
	refuses := func(name, subject string, o Options, want string) {
		t.Run(name, func(t *testing.T) {
			if tok, err := issuer.Access(subject, o); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, %v; want an error with %q", tok, err, want)
			}
		})
	}
	for _, subject := range []string{"", "a\n", "\x00", "\xff", "a\u202eb", strings.Repeat("a", 257)} {
		refuses(fmt.Sprintf("subject %.10q", subject), subject, Options{}, "sub")
	}
	for _, name := range []string{"alg", "typ", "kid", "crit", "b64", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "zip", "cty", "enc", "ALG", "Kid", "\u212aid"} {
		refuses("header "+name, "test", Options{Headers: map[string]any{name: "x"}}, "Options.Headers: ")
	}
	for _, name := range []string{"sub", "iat", "nbf", "jti", "exp", "type", "fresh", "csrf", "sid", "sid_gen", "iss", "aud", "SUB", "Type", "ſub"} {
		refuses("claim "+name, "test", Options{Claims: map[string]any{name: "x"}}, "Options.Claims: ")
	}
	// The JSON package randomly says "cannot" or "unable to".
	refuses("claim of a function", "test", Options{Claims: map[string]any{"x": func() {}}}, " marshal from Go func() within \"/x\"")
	refuses("claim not UTF-8", "test", Options{Claims: map[string]any{"x": "\xff"}}, "UTF-8 within \"/x\"")
	refuses("claim too deep", "test", Options{Claims: map[string]any{"x": nest(20)}}, "payload: nested too deeply")
	refuses("header too deep", "test", Options{Headers: map[string]any{"x": nest(20)}}, "header: nested too deeply")
	refuses("too long", "test", Options{Claims: map[string]any{"x": strings.Repeat("x", 8000)}}, "longer than MaxBytes")
	refuses("TTL negative", "test", Options{TTL: -time.Second}, "Options.TTL: -1s")
	refuses("TTL under a second", "test", Options{TTL: time.Second - 1}, "Options.TTL: 999.999999ms")
	refuses("TTL too long", "test", Options{TTL: 367 * 24 * time.Hour}, "Options.TTL: 8808h")
	refuses("public key", "test", Options{Key: must(testKey(ES256).Public())}, "no key that can sign")
	refuses("key without material", "test", Options{Key: &Key{}}, "no key that can sign")
	refuses("session", "test", Options{SessionID: "a\n"}, "sid")
	refuses("audience", "test", Options{Audience: []string{""}}, "aud")
	if _, err := issuer.Refresh("test", Options{Fresh: true}); err == nil {
		t.Error("a fresh refresh token was issued")
	}
	_, err := issuer.Access("", Options{})
	if !errors.Is(err, ErrClaims) || !strings.Contains(err.Error(), "sub") {
		t.Errorf("error %v", err)
	}
}

func nest(n int) any {
	if n == 0 {
		return 1
	}
	return []any{nest(n - 1)}
}

// TestChosenID checks that a token can be issued with the jti of another, as
// when it is issued again, but not with one that a verifier would refuse.
func TestChosenID(t *testing.T) {
	issuer, err := NewIssuer(IssuerConfig{Key: testKey(HS256)})
	if err != nil {
		t.Fatal(err)
	}
	made, err := issuer.Refresh("ann", Options{ID: "j-1"})
	if err != nil || made.Claims.ID != "j-1" {
		t.Errorf("got %v, %v, want %q", made, err, "j-1")
	}
	if made, err := issuer.Refresh("ann", Options{ID: "j\n1"}); err == nil {
		t.Errorf("issued %v", made)
	}
}

// TestAssertion checks that an assertion verifies as a token, but has a type
// that grants no access (J34).
func TestAssertion(t *testing.T) {
	key := must(GenerateKey(ES256))
	issuer := must(NewIssuer(IssuerConfig{Key: key}))
	if _, err := issuer.Assertion("ada", Options{}); err == nil {
		t.Error("an assertion without an expiry was issued")
	}
	made, err := issuer.Assertion("ada", Options{TTL: time.Minute, Audience: []string{"http://backend"}, SessionID: "s1"})
	if err != nil {
		t.Fatal(err)
	}
	verifier := must(NewVerifier(VerifierConfig{Keys: must(NewKeySet(key)), Audience: []string{"http://backend"}}))
	claims, err := verifier.Verify(t.Context(), made.Raw)
	if err != nil {
		t.Fatal(err)
	}
	if claims.Type != TypeAssertion || claims.Subject != "ada" || claims.SessionID != "s1" {
		t.Errorf("got %v", claims)
	}
}
