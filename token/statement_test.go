package token

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const statementEvents = `,"events":{"http://schemas.openid.net/event/backchannel-logout":{}}`

// TestStatement checks the kind, dates, issuer and audience of statements.
func TestStatement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := must(GenerateKey(ES256))
		v := must(NewVerifier(VerifierConfig{Keys: must(NewKeySet(key)), Issuer: "https://id", Audience: []string{"api"}, Namespace: "id", Profile: &Profile{}}))
		now := time.Now().Unix()
		good := fmt.Sprintf(`{"iss":"https://id","aud":"me","jti":"1","iat":%d,"sub":"alice","sid":"s","type":"access","fresh":1`, now) + statementEvents + `}`
		rules := StatementRules{MediaTypes: []string{"logout+jwt"}, Audience: []string{"me"}}
		either := StatementRules{MediaTypes: []string{"logout+jwt", ""}, Audience: []string{"me"}}
		at := func(claims string) string { return fmt.Sprintf(`{"iss":"https://id","aud":"me",%s}`, claims) }
		for name, tt := range map[string]struct {
			typ, payload string
			rules        StatementRules
			want         error
		}{
			"good":            {`"logout+jwt"`, good, rules, nil},
			"long typ":        {`"application/logout+jwt"`, good, rules, nil},
			"JWT":             {`"JWT"`, good, rules, ErrMalformed},
			"JWT allowed":     {`"JWT"`, good, either, nil},
			"other kind":      {`"at+jwt"`, good, either, ErrMalformed},
			"other audience":  {`"logout+jwt"`, good, StatementRules{MediaTypes: []string{"logout+jwt"}, Audience: []string{"api"}}, ErrAudience},
			"no jti":          {`"logout+jwt"`, at(fmt.Sprintf(`"iat":%d`, now)), rules, ErrClaims},
			"no iat":          {`"logout+jwt"`, at(`"jti":"1"`), rules, ErrClaims},
			"future":          {`"logout+jwt"`, at(fmt.Sprintf(`"jti":"1","iat":%d`, now+1)), rules, ErrIssuedInFuture},
			"nbf":             {`"logout+jwt"`, at(fmt.Sprintf(`"jti":"1","iat":%d,"nbf":%d`, now, now+1)), rules, ErrNotYetValid},
			"old":             {`"logout+jwt"`, at(fmt.Sprintf(`"jti":"1","iat":%d`, now-301)), rules, ErrExpired},
			"old enough":      {`"logout+jwt"`, at(fmt.Sprintf(`"jti":"1","iat":%d`, now-300)), rules, nil},
			"expired":         {`"logout+jwt"`, at(fmt.Sprintf(`"jti":"1","iat":%d,"exp":%d`, now-1, now)), rules, ErrExpired},
			"other issuer":    {`"logout+jwt"`, fmt.Sprintf(`{"iss":"https://id/","aud":"me","jti":"1","iat":%d}`, now), rules, ErrIssuer},
			"no issuer":       {`"logout+jwt"`, fmt.Sprintf(`{"aud":"me","jti":"1","iat":%d}`, now), rules, ErrIssuer},
			"array of issuer": {`"logout+jwt"`, fmt.Sprintf(`{"iss":["https://id"],"aud":"me","jti":"1","iat":%d}`, now), rules, ErrClaims},
		} {
			raw := mint(t, key, `{"alg":"ES256","typ":`+tt.typ+`}`, tt.payload)
			c, err := v.VerifyStatement(context.Background(), raw, tt.rules)
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("%s: %v, want %v", name, err, tt.want)
			}
			if name == "good" && (c.Subject != "alice" || c.SessionID != "s" || c.ID != "1" || c.Type != "") {
				t.Errorf("it says %v", c)
			}
			if _, err := v.Verify(context.Background(), raw); err == nil {
				t.Errorf("%s: accepted as an access token", name)
			}
		}
		// A statement with all claims of an access token is not one, because of its
		// typ or its events.
		const access = `"sub":"alice","iss":"https://id","aud":["api","me"],"jti":"1"`
		dates := fmt.Sprintf(`,"iat":%d,"exp":%d`, now, now+60)
		for _, tt := range []struct {
			typ, claims string
			want        error
		}{
			{"at+jwt", access + dates, nil},
			{"JWT", access + dates, nil},
			{"logout+jwt", access + dates, ErrMalformed},
			{"secevent+jwt", access + dates, ErrMalformed},
			{"JWT", access + dates + statementEvents, ErrClaims},
			{"at+jwt", access + dates + statementEvents, ErrClaims},
		} {
			raw := mint(t, key, `{"alg":"ES256","typ":"`+tt.typ+`"}`, "{"+tt.claims+"}")
			if _, err := v.Verify(context.Background(), raw); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("%s, %s as an access token: %v, want %v", tt.typ, tt.claims, err, tt.want)
			}
		}
		if _, err := v.VerifyStatement(context.Background(), mint(t, must(GenerateKey(ES256)), `{"alg":"ES256","typ":"logout+jwt"}`, good), rules); !errors.Is(err, ErrSignature) {
			t.Errorf("a foreign key: %v", err)
		}
		if _, err := v.VerifyStatement(context.Background(), "a.b", rules); !errors.Is(err, ErrSegments) {
			t.Errorf("no token: %v", err)
		}
		for _, bad := range []StatementRules{{Audience: []string{"me"}}, {MediaTypes: []string{""}}, {MediaTypes: []string{""}, Audience: []string{"me"}, MaxAge: 25 * time.Hour}} {
			raw := mint(t, key, `{"alg":"ES256","typ":"JWT"}`, good)
			if _, err := v.VerifyStatement(context.Background(), raw, bad); err == nil || !strings.Contains(err.Error(), "StatementRules: ") {
				t.Errorf("%+v: got %v, want an error with %q", bad, err, "StatementRules: ")
			}
		}
	})
}

func TestUnverifiedIssuer(t *testing.T) {
	key := must(GenerateKey(ES256))
	for payload, want := range map[string]string{`{"iss":"https://id"}`: "https://id", `{}`: "", `{"iss":1}`: "!", `{"iss":"a","iss":"b"}`: "!", `[]`: "!"} {
		got, err := UnverifiedIssuer(mint(t, key, `{"alg":"ES256"}`, payload))
		if want == "!" && err == nil || want != "!" && (err != nil || got != want) {
			t.Errorf("%s: got %q, %v", payload, got, err)
		}
	}
}
