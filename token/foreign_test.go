package token

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestIntegerSubjects checks that a sub may be an integer if this is
// configured, that every reader gets it in the same form, and that no other
// type is accepted.
func TestIntegerSubjects(t *testing.T) {
	for sub, want := range map[string]string{
		"7": "7", "0": "0", "-7": "-7", "9007199254740991": "9007199254740991", "-9007199254740991": "-9007199254740991", `"7"`: "7", `"ada"`: "ada",
		"9007199254740992": "", "-9007199254740992": "", "18446744073709551616": "", "7.5": "", "-0": "", "7.0": "", "7e0": "", "70e-1": "", "1e3": "", "1E3": "", "7.00000000000000000001": "", "9007199254740990.6": "", "true": "", "null": "", "[7]": "", `{"a":7}`: "", `""`: "",
	} {
		for _, profile := range []*Profile{nil, {}, {Subject: "uid"}, {Subject: "/user/id~1~0"}} {
			name := "sub"
			if profile != nil && profile.Subject != "" {
				name = profile.Subject
			}
			payload := `{"a":[1, 2],"` + name + `": ` + sub + ` ,"exp":` + soon() + `,"z":"<&>"}`
			if name[0] == '/' {
				payload = `{"user":{"id":1,"id/~":` + sub + `},"id/~":2,"exp":` + soon() + `}`
			}
			raw := mint(t, testKey(HS256), headerOf(HS256), payload)
			c, err := verify(newVerifier(t, VerifierConfig{Profile: profile, IntegerSubjects: true}, testKey(HS256)), raw)
			if (err == nil) != (want != "") || err != nil && !errors.Is(err, ErrClaims) || err == nil && c.Subject != want {
				t.Errorf("%s %s: %v, %v, want %q", name, sub, c, err, want)
			}
			if err == nil && profile == nil {
				if expected := strings.Replace(payload, sub, `"`+want+`"`, 1); sub[0] != '"' && string(c.Payload()) != expected {
					t.Errorf("%s: the payload is %s", sub, c.Payload())
				}
			}
			if err == nil {
				var claims struct{ Sub string }
				if name == "sub" && (c.Decode(&struct {
					Sub *string `json:"sub"`
				}{&claims.Sub}) != nil || claims.Sub != want) {
					t.Errorf("%s: downstream it is %q", sub, claims.Sub)
				}
			}
			_, err = verify(newVerifier(t, VerifierConfig{Profile: profile}, testKey(HS256)), raw)
			if (err == nil) != (want != "" && sub[0] == '"') {
				t.Errorf("%s %s without the setting: %v", name, sub, err)
			}
			if name == "sub" && sub == "7" && !strings.Contains(err.Error(), "integer_subjects") {
				t.Errorf("the error names no setting: %v", err)
			}
		}
	}
	// A second name may be an integer, too.
	v := newVerifier(t, VerifierConfig{Profile: &Profile{Subject: "uid"}, IntegerSubjects: true}, testKey(HS256))
	if c := wantAccepted(t, v, mint(t, testKey(HS256), headerOf(HS256), `{"sub":7,"uid":"ada","exp":`+soon()+`}`)); c.IssuerSubject != "7" {
		t.Errorf("its other name is %q", c.IssuerSubject)
	}
	twice := `{"sub":7,"sub":8,"exp":` + soon() + `}`
	wantRefused(t, newVerifier(t, VerifierConfig{IntegerSubjects: true}, testKey(HS256)), mint(t, testKey(HS256), headerOf(HS256), twice), ErrMalformed)
}

// TestUntyped checks that a token without a type is an access token if this is
// configured, unless it declares another type.
func TestUntyped(t *testing.T) {
	for more, access := range map[string]bool{
		"": true, `,"role":"admin"`: true, `,"token_type":"access"`: true, `,"typ":"Bearer"`: true, `,"token_use":"access"`: true, `,"fresh":true`: true,
		`,"token_type":"refresh"`: false, `,"typ":"Refresh"`: false, `,"token_use":"id"`: false, `,"use":"reset"`: false, `,"token_type":["access"]`: false,
		`,"token_type":null`: false, `,"nonce":"n"`: false, `,"at_hash":"h"`: false, `,"events":{}`: false,
	} {
		raw := mint(t, testKey(HS256), headerOf(HS256), valid(more))
		for _, set := range []bool{true, false} {
			c := wantAccepted(t, newVerifier(t, VerifierConfig{InsecureUntyped: set}, testKey(HS256)), raw)
			if (c.Type == TypeAccess) != (set && access) {
				t.Errorf("%s, set %t: type %q", more, set, c.Type)
			}
		}
	}
	v := newVerifier(t, VerifierConfig{InsecureUntyped: true}, testKey(HS256))
	for _, kind := range []Type{TypeRefresh, "reset", TypeAssertion} {
		if c := wantAccepted(t, v, mint(t, testKey(HS256), headerOf(HS256), valid(`,"type":"`+string(kind)+`"`))); c.Type != kind {
			t.Errorf("%s is accepted as %s", kind, c.Type)
		}
	}
	wantRefused(t, v, mint(t, testKey(HS256), headerOf(HS256), valid(`,"type":""`)), ErrClaims)
	wantRefused(t, v, mint(t, testKey(HS256), headerOf(HS256), valid(`,"type":null`)), ErrClaims)
}

// TestIssuedAhead checks that the clock of an issuer may be ahead by the
// configured leeway, and that the error names the setting.
func TestIssuedAhead(t *testing.T) {
	at := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }
	ahead := mint(t, testKey(HS256), headerOf(HS256), `{"sub":"ada","iat":`+at(30*time.Second)+`,"nbf":`+at(30*time.Second)+`,"exp":`+at(10*time.Minute)+`}`)
	_, err := verify(newVerifier(t, VerifierConfig{}, testKey(HS256)), ahead)
	if !errors.Is(err, ErrIssuedInFuture) || !strings.Contains(err.Error(), "issued_leeway") {
		t.Errorf("%v", err)
	}
	wantAccepted(t, newVerifier(t, VerifierConfig{IssuedLeeway: time.Minute}, testKey(HS256)), ahead)
}
