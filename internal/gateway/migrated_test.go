package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"wsauth/internal/gateway/tokens"
	"wsauth/token"
)

// TestTokensOfAnotherProgram checks that a setting makes the gateway accept
// tokens that another program issued with the same key, and that the log names
// the setting if it is missing. All parts of the gateway see the same user.
func TestTokensOfAnotherProgram(t *testing.T) {
	secret := []byte("a secret of both programs, long enough")
	sign := func(payload string) string {
		encode := base64.RawURLEncoding.EncodeToString
		signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode([]byte(payload))
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(signed))
		return signed + "." + encode(mac.Sum(nil))
	}
	now := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for name, tt := range map[string]struct {
		payload func() string
		setting func(c *Config)
		user    string
		status  int // without the setting
		named   string
	}{
		"an integer as sub": {
			func() string {
				return fmt.Sprintf(`{"sub":7,"iat":%d,"exp":%d,"type":"access"}`, now(0), now(time.Minute))
			},
			func(c *Config) { c.Tokens.IntegerSubjects = true }, "7", 401, "integer_subjects",
		},
		"a clock that is ahead": {
			func() string {
				return fmt.Sprintf(`{"sub":"ada","iat":%d,"nbf":%d,"exp":%d,"type":"access"}`, now(40*time.Second), now(40*time.Second), now(5*time.Minute))
			},
			func(c *Config) { c.Tokens.IssuedLeeway = time.Minute }, "ada", 401, "issued_leeway",
		},
		"no type": {
			func() string { return fmt.Sprintf(`{"sub":"ada","iat":%d,"exp":%d}`, now(0), now(time.Minute)) },
			func(c *Config) { c.Tokens.InsecureUntyped = true }, "ada", 403, "insecure_untyped",
		},
		"nothing but what is needed": {
			func() string { return fmt.Sprintf(`{"sub":"ada","exp":%d,"type":"access"}`, now(time.Minute)) },
			nil, "ada", 200, "",
		},
		"parts of seconds": {
			func() string {
				return fmt.Sprintf(`{"sub":"ada","iat":%d.5,"nbf":%d.25,"exp":%d.75,"type":"access"}`, now(-time.Second), now(-time.Second), now(time.Minute))
			},
			nil, "ada", 200, "",
		},
		"one second ahead, and no setting": {
			func() string {
				return fmt.Sprintf(`{"sub":"ada","iat":%d,"exp":%d,"type":"access"}`, now(time.Second), now(time.Minute))
			},
			nil, "ada", 200, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, set := range []bool{true, false} {
				r := start(t, func(c *Config) {
					c.Tokens.Keys = must(token.NewKeySet(must(token.NewKey(token.HS256, secret, token.KeyOptions{}))))
					if set && tt.setting != nil {
						tt.setting(c)
					}
				})
				raw := sign(tt.payload())
				e := r.Call("GET", "/auth/session", "", bearer(raw))
				if !set && tt.setting != nil {
					if e.StatusCode != tt.status || !strings.Contains(r.log.String(), tt.named) {
						t.Errorf("without the setting: %d %s, and the log does not name %s: %s", e.StatusCode, e.Text, tt.named, r.log.String())
					}
					continue
				}
				if e.StatusCode != 200 || e.Decode(t)["sub"] != tt.user {
					t.Fatalf("got %d %s", e.StatusCode, e.Text)
				}
				conn := r.Open("?ticket=" + r.Ticket(raw))
				if _, err := r.Read(conn); err != nil {
					t.Fatal(err)
				}
				if e := r.Call("POST", "/auth/logout-everywhere", "", bearer(raw)); e.StatusCode != 200 {
					t.Errorf("logout everywhere: %d %s", e.StatusCode, e.Text)
				}
				r.WantClose(conn, 3000, "session_ended")
			}
		})
	}
	for name, of := range map[string]Config{"too little": {Tokens: tokens.Config{IssuedLeeway: time.Second}}, "too much": {Tokens: tokens.Config{IssuedLeeway: time.Minute + 1}}} {
		of.Tokens.Keys = must(token.NewKeySet(must(token.NewKey(token.HS256, secret, token.KeyOptions{}))))
		if _, err := of.Check(); err == nil || !strings.Contains(err.Error(), "IssuedLeeway") {
			t.Errorf("%s: got %v, want a fault of IssuedLeeway", name, err)
		}
	}
}
