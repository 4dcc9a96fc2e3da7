package inspect

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

func TestWarningsOfUnsignedTokens(t *testing.T) {
	const (
		none    = "nothing signs it"
		guess   = "a verifier must not guess one"
		empty   = "its signature is empty"
		noPlace = "no signature, and no place for one"
	)
	for _, c := range []struct {
		header, signature string
		want              []string
	}{
		{`{"alg":"ES256"}`, ".c2ln", nil},
		{`{"alg":"none"}`, ".", []string{none, empty}},
		{`{"alg":"NONE"}`, ".", []string{none, empty}},
		{`{"alg":"nOnE"}`, ".c2ln", []string{none}},
		{`{"alg":" none "}`, ".c2ln", []string{none}},
		{`{"alg":"\u006eone"}`, ".c2ln", []string{none}},
		{`{"alg":"ES256","alg":"none"}`, ".c2ln", []string{none}},
		{`{"alg":"none","alg":"ES256"}`, ".c2ln", []string{none}},
		{`{"alg":"ES256"}`, ".", []string{empty}},
		{`{"alg":"ES256"}`, ".==", []string{empty}},
		{`{"alg":"ES256"}`, "", []string{noPlace}},
		{`{"typ":"JWT"}`, ".c2ln", []string{guess}},
		{`{}`, ".", []string{guess, empty}},
		{`{"alg":""}`, ".c2ln", []string{guess}},
		{`{"alg":null}`, ".c2ln", []string{guess}},
		{`{"alg":["none"]}`, ".c2ln", []string{guess}},
		{`{"ALG":"none"}`, ".c2ln", []string{guess}},
		{`no JSON`, ".", nil}, // unreadable, which is reported
	} {
		raw := base64.RawURLEncoding.EncodeToString([]byte(c.header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"ada"}`)) + c.signature
		got := Read("Bearer " + raw + "\n").Warnings()
		if len(got) != len(c.want) {
			t.Errorf("%s%s: %q, want %q", c.header, c.signature, got, c.want)
			continue
		}
		var shown strings.Builder
		if err := Read(raw).Write(&shown, time.Now()); err != nil {
			t.Fatal(err)
		}
		for i, w := range c.want {
			if !strings.Contains(got[i], w) || !strings.Contains(shown.String(), "\nWarning: "+got[i]+"\n") {
				t.Errorf("%s%s: %q, want %q; shown: %s", c.header, c.signature, got[i], w, shown.String())
			}
		}
	}
}
