package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"wsauth/store"
	"wsauth/token"
)

// TestVerifyAsTheServerDoes: tokens are judged with --data by the rules of the
// server for its own: its clock may have been set back since it issued them.
// Tokens of other keys have no such leeway.
func TestVerifyAsTheServerDoes(t *testing.T) {
	const secret = "a secret of tests, 32 bytes or more"
	data := t.TempDir()
	t.Setenv("WSAUTH_DATA", data)
	keys := keyFolder("", data)
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
	far := store.ClockStep + 30*time.Second
	for _, c := range []struct {
		name          string
		iat, nbf, exp time.Duration
		own, others   error
	}{
		{"now", 0, 0, time.Hour, nil, nil},
		{"iat ahead", store.ClockStep, 0, time.Hour, nil, token.ErrIssuedInFuture},
		{"nbf ahead", 0, store.ClockStep, time.Hour, nil, token.ErrNotYetValid},
		{"iat far ahead", far, 0, time.Hour, token.ErrIssuedInFuture, token.ErrIssuedInFuture},
		{"nbf far ahead", 0, far, time.Hour, token.ErrNotYetValid, token.ErrNotYetValid},
		{"expired a second ago", -time.Hour, -time.Hour, -time.Second, token.ErrExpired, token.ErrExpired},
	} {
		for rules, want := range map[*tokenRules]error{
			{Data: data}:                      c.own,
			{}:                                c.own, // the folder of the environment
			{Keys: key}:                       c.others,
			{Keys: keys}:                      c.others,
			{Data: data, Leeway: time.Minute}: nil,
		} {
			j, err := rules.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := j.verifier.Verify(t.Context(), signed(c.iat, c.nbf, c.exp)); !errors.Is(err, want) {
				t.Errorf("%s, %+v: %v, want %v", c.name, *rules, err, want)
			}
		}
	}
}
