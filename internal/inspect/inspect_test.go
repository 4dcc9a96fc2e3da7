package inspect

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
	"unicode"

	"wsauth/token"
)

func raw(header, payload string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2lnbmF0dXJl"
}

func TestKind(t *testing.T) {
	for _, test := range []struct{ header, payload, want string }{
		{`{"typ":"JWT"}`, `{"type":"access"}`, "access token of wsauth"},
		{`{"typ":"JWT"}`, `{"type":"refresh"}`, "refresh token of wsauth"},
		{`{}`, `{"typ":"Bearer","type":"access"}`, "access token of Keycloak"},
		{`{}`, `{"typ":"ID","nonce":"x"}`, "ID token of Keycloak"},
		{`{}`, `{"typ":"Offline"}`, "refresh token of Keycloak"},
		{`{}`, `{"token_use":"access"}`, "Cognito (preset cognito)"},
		{`{}`, `{"token_use":"id","at_hash":"x"}`, "ID token of Amazon Cognito"},
		{`{}`, `{"iss":"https://accounts.google.com","at_hash":"x"}`, "preset google"},
		{`{}`, `{"cid":"x","uid":"y"}`, "preset okta"},
		{`{}`, `{"tid":"x","ver":"2.0"}`, "preset entra"},
		{`{}`, `{"tid":"x","ver":"1.0"}`, "version 2.0"},
		{`{}`, `{"iss":"https://x.auth0.com/"}`, "preset auth0"},
		{`{}`, `{"nonce":"x"}`, "an ID token, which"},
		{`{"typ":"application/at+JWT"}`, `{}`, "RFC 9068"},
		{`{"typ":"logout+jwt"}`, `{}`, "logout token"},
		{`{}`, `{"events":{}}`, "logout token"},
		{`{"typ":"secevent+jwt"}`, `{"events":{}}`, "Security Event Token"},
		{`{}`, `{"type":1}`, ""},
	} {
		if got := Read(raw(test.header, test.payload)).Kind(); !strings.Contains(got, test.want) || (test.want == "") != (got == "") {
			t.Errorf("%s %s: %q, want %q", test.header, test.payload, got, test.want)
		}
	}
}

func TestReadFaults(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "not enough segments",
		"abc":                           "not enough segments",
		raw(`{"alg":"HS256"}`, `{}`):    "",
		raw(`{"jku":"x"}`, `{}`):        "",
		raw(`{"jwk":"x"}`, `{}`):        "jwk is not allowed",
		raw(`{"alg":"HS256"}`, `[]`):    "payload",
		"a.b.c.d.e":                     "encrypted",
		strings.Repeat("a", MaxBytes+1): "longer than",
	} {
		got := Read(text).Fault
		if (got == nil) != (want == "") || got != nil && !strings.Contains(got.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, got, want)
		}
	}
	if got := Read(" bearer  " + raw(`{}`, `{"sub":"a"}`) + "\r\n"); Text(got.Claims, "sub") != "a" || got.Fault != nil {
		t.Errorf("as copied from a header: %+v", got)
	}
}

func TestWrite(t *testing.T) {
	now := time.Unix(1_000_000_000, 0)
	var b strings.Builder
	text := Read(raw(`{"alg":"HS256"}`, `{"sub":"a\u001b[31m","exp":1000000060,"iat":999000000,"nbf":"x","x":{"y":[1]}}`))
	if err := text.Write(&b, now); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"HS256"`, `\u001b`, "expires 2001-09-09T01:47:40Z, in 1m0s", "11 days ago", "is not a date", `{"y":[1]}`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in %s", want, &b)
		}
	}
	if strings.Contains(b.String(), "c2lnbmF0dXJl") {
		t.Errorf("the signature is in %s", &b)
	}
}

func TestEscape(t *testing.T) {
	for text, want := range map[string]string{
		"plain äöü 😀":      "plain äöü 😀",
		"\u009b31m\u202ea": `\u009b31m\u202ea`,
		"\U000e0041\xff":   `\udb40\udc41�`,
	} {
		if got := Escape(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := Printable(strings.Repeat("ä", 300)); got != strings.Repeat("ä", 200)+"… (600 bytes)" {
		t.Errorf("a long one: %q", got)
	}
}

// FuzzWrite checks that for any text, the output is bounded, has no control
// sequences, and does not contain the token.
func FuzzWrite(f *testing.F) {
	f.Add(raw(`{"alg":"HS256","kid":"a"}`, `{"sub":"a\u202e","exp":1e9,"sub":"b"}`))
	f.Add("Bearer a.b.c.d.e")
	f.Add(raw("{\"a\":\"\xff\"}", `{"exp":1e400}`))
	f.Fuzz(func(t *testing.T, text string) {
		var b strings.Builder
		read := Read(text)
		if err := read.Write(&b, time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
		members := len(read.Header) + len(read.Claims)
		if b.Len() > 300+members*(2*10*(longestValue+40)+200) {
			t.Fatalf("%d bytes for %d members", b.Len(), members)
		}
		for _, r := range b.String() {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("%q in %q", r, &b)
			}
		}
		if _, err := token.UnverifiedIssuer(text); err == nil && read.Fault != nil {
			t.Fatalf("a token has the fault %v", read.Fault)
		}
		if signed := strings.Count(read.Raw, ".") == 2 && len(read.Raw) > 60; signed && strings.Contains(b.String(), read.Raw) {
			t.Fatal("the output contains the token")
		}
	})
}
