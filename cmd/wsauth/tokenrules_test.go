package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsauth/internal/server"
	"wsauth/store"
	"wsauth/token"
)

// TestVerifyAsTheServerDoes checks that with --data, the server's own tokens
// are verified by its rules: its clock may have been set back since it issued
// them. Tokens of other keys get no such leeway.
func TestVerifyAsTheServerDoes(t *testing.T) {
	const secret = "a secret of tests, 32 bytes or more"
	data := t.TempDir()
	t.Setenv("WSAUTH_DATA", data)
	keys := server.KeyFolder("", data)
	if err := os.MkdirAll(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(keys, "one.hs256")
	if err := os.WriteFile(key, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	signed := func(iat, nbf, exp time.Duration) string {
		at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
		encode := base64.RawURLEncoding.EncodeToString
		s := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(fmt.Appendf(nil,
			`{"sub":"ada","type":"access","jti":"x","iat":%d,"nbf":%d,"exp":%d}`, at(iat), at(nbf), at(exp)))
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(s))
		return s + "." + encode(mac.Sum(nil))
	}
	tooFar := store.ClockStep + 30*time.Second
	for _, c := range []struct {
		name          string
		iat, nbf, exp time.Duration
		own, others   error
	}{
		{"now", 0, 0, time.Hour, nil, nil},
		{"iat ahead", store.ClockStep, 0, time.Hour, nil, token.ErrIssuedInFuture},
		{"nbf ahead", 0, store.ClockStep, time.Hour, nil, token.ErrNotYetValid},
		{"iat far ahead", tooFar, 0, time.Hour, token.ErrIssuedInFuture, token.ErrIssuedInFuture},
		{"nbf far ahead", 0, tooFar, time.Hour, token.ErrNotYetValid, token.ErrNotYetValid},
		{"expired a second ago", -time.Hour, -time.Hour, -time.Second, token.ErrExpired, token.ErrExpired},
	} {
		for rules, want := range map[*tokenRules]error{
			{Data: data}:                      c.own,
			{}:                                c.own, // the folder from the environment
			{Keys: key}:                       c.others,
			{Keys: keys}:                      c.others,
			{Data: data, Leeway: time.Minute}: nil,
		} {
			raw := signed(c.iat, c.nbf, c.exp)
			j, err := rules.open(t.Context(), raw)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := j.verifier.Verify(t.Context(), raw); !errors.Is(err, want) {
				t.Errorf("%s, %+v: %v, want %v", c.name, *rules, err, want)
			}
		}
	}
}

// TestVerifyByConfiguration checks that with --config, tokens are verified by
// the server's settings, including those of its providers, and with the keys
// that it names.
func TestVerifyByConfiguration(t *testing.T) {
	const secret = "a secret of tests, 32 bytes or more"
	dir := t.TempDir()
	t.Setenv("WSAUTH_DATA", "")
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("data/keys/one.hs256", secret)
	write("elsewhere/one.hs256", secret)
	encode := base64.RawURLEncoding.EncodeToString
	signed := func(claims string) string {
		now := time.Now().Unix()
		s := encode([]byte(`{"alg":"HS256"}`)) + "." + encode(fmt.Appendf(nil, `{%s,"jti":"x","iat":%d,"exp":%d}`, claims, now, now+60))
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(s))
		return s + "." + encode(mac.Sum(nil))
	}
	ahead := signed(fmt.Sprintf(`"sub":"ada","type":"access","nbf":%d`, time.Now().Add(30*time.Second).Unix()))
	integer, untyped := signed(`"sub":7,"type":"access"`), signed(`"sub":"ada"`)
	named := signed(`"sub":"ada","type":"access","iss":"https://login.example"`)
	for _, c := range []struct{ name, config, raw, want string }{
		{"integer", "", integer, "integer_subjects (IntegerSubjects) accepts an integer"},
		{"integer", "integer_subjects: true", integer, ""},
		{"ahead", "", ahead, "issued_leeway"},
		{"ahead", "issued_leeway: 1m", ahead, ""},
		{"untyped", "", untyped, `its type is ""`},
		{"untyped", "insecure_untyped: true", untyped, ""},
		{"issuer", "issuer: https://login.example", named, ""},
		{"another issuer", "issuer: https://other.example", named, `expected "https://other.example"`},
		{"keys", "keys: elsewhere", named, ""},
		{"keys", "keys: none", named, "none: no such file"},
		{"a fault", "integer_subject: true", named, "one error"},
		{
			"a provider's", "providers: [{issuer: https://id.example, audience: chat}]",
			signed(`"sub":"ada","iss":"https://id.example"`), "alg is missing, unknown or not one of ours",
		},
	} {
		rules := tokenRules{Config: write("wsauth.yaml", "data: data\n"+c.config+"\n")}
		cmd := tokenVerifyCmd{tokenText{c.raw}, rules, "access"}
		err := cmd.Run(t.Context())
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %q: %v, want %q", c.name, c.config, err, c.want)
		}
	}
	// Without the file, the refusal mentions that it may matter.
	for _, raw := range []string{integer, untyped} {
		cmd := tokenVerifyCmd{tokenText{raw}, tokenRules{Data: filepath.Join(dir, "data")}, "access"}
		if err := cmd.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "--config") {
			t.Errorf("got %v, want an error with %q", err, "--config")
		}
	}
	// Keys given by flags have their own rules.
	cmd := tokenVerifyCmd{tokenText{integer}, tokenRules{Keys: filepath.Join(dir, "data/keys"), Config: filepath.Join(dir, "none.yaml")}, "access"}
	if err := cmd.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "integer_subjects") {
		t.Errorf("got %v, want an error with %q", err, "integer_subjects")
	}
}
