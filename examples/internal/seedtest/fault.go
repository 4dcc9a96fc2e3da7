package seedtest

import (
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// A Fault changes a draft so that the program refuses it. Talk is the refusal.
type Fault struct {
	Name  string
	Spoil func(*Draft)
	Talk  Talk
}

// These are the close codes for clients that have not authenticated, and for
// clients that are not allowed.
const (
	Unauthorized websocket.StatusCode = 3000
	Forbidden    websocket.StatusCode = 3003
)

// Refused returns the refusal of a program: one message, and a close frame with
// code and reason.
func Refused(text string, code websocket.StatusCode, reason string) Talk {
	return Talk{Status: http.StatusSwitchingProtocols, Messages: []string{text}, Code: code, Reason: reason}
}

func invalid(text string) Talk { return Refused(text, Unauthorized, "token_invalid") }

// tokenFaults returns faults of a fresh access token, in the order in which the
// programs check them.
func tokenFaults() []Fault {
	claim := func(name string, value any) func(*Draft) {
		return func(d *Draft) { d.Claims[name] = value }
	}
	later, past := time.Now().Add(time.Hour).Unix(), time.Now().Add(-time.Hour).Unix()
	return []Fault{
		{"segments", func(d *Draft) { d.Cut = true }, invalid("Not enough segments")},
		{"header", func(d *Draft) { d.Header += "x" }, invalid("Invalid token")},
		{"algorithm", func(d *Draft) { d.Header = strings.Replace(d.Header, "HS256", "HS384", 1) }, invalid("The specified alg value is not allowed")},
		{"signature", func(d *Draft) { d.Secret = "other" }, invalid("Signature verification failed")},
		{"payload", func(d *Draft) { d.Tail = "x" }, invalid("Invalid token")},
		{"iat", claim("iat", later), invalid("The token is not yet valid (iat)")},
		{"nbf", claim("nbf", later), invalid("The token is not yet valid (nbf)")},
		{"exp", claim("exp", past), Refused("Signature has expired", Unauthorized, "token_expired")},
		{"aud", claim("aud", "other"), invalid("Invalid audience")},
		{"type", claim("type", "refresh"), Refused("Only access tokens are allowed", Forbidden, "wrong_token_type")},
		{"fresh", claim("fresh", false), Refused("Fresh token required", Forbidden, "fresh_token_required")},
	}
}

// hostile returns tokens that would crash a careless parser, or be accepted by
// it.
func hostile() []Fault {
	var (
		raw = func(s string) func(*Draft) { return func(d *Draft) { d.Raw = s } }
		// unsigned needs no secret.
		unsigned = func(alg string) func(*Draft) {
			return raw(segment(`{"alg":`+alg+`}`) + "." + segment(`{"sub":"test","exp":4102444800,"type":"access","fresh":true}`) + ".")
		}
		without = func(name string) func(*Draft) { return func(d *Draft) { delete(d.Claims, name) } }
		claim   = func(name string, value any) func(*Draft) { return func(d *Draft) { d.Claims[name] = value } }
		notOurs = invalid("The specified alg value is not allowed")
		token   = invalid("Invalid token")
		claims  = invalid("Invalid claims")
		typ     = Refused("Only access tokens are allowed", Forbidden, "wrong_token_type")
	)
	return []Fault{
		{"alg none", unsigned(`"none"`), notOurs},
		{"alg None", unsigned(`"None"`), notOurs},
		{"alg null", unsigned(`null`), token},
		{"alg twice", unsigned(`"none","alg":"HS256"`), token},
		{"no alg", raw(segment(`{}`) + "." + segment(`{}`) + "."), notOurs},
		{"no JWT", raw("hello"), invalid("Not enough segments")},
		{"dots", raw(".."), token},
		{"four segments", raw("a.a.a.a"), token},
		{"too long", raw(strings.Repeat("a", 9000)), token},
		{"no type", without("type"), typ},
		{"another type", claim("type", "ticket"), typ},
		{"type null", claim("type", nil), claims},
		{"no exp", without("exp"), claims},
		{"exp as text", claim("exp", "4102444800"), claims},
		{"exp far away", claim("exp", int64(4102444800)), claims},
		{"no sub", without("sub"), claims},
		{"two payloads", func(d *Draft) { d.Tail = `{"sub":"admin"}` }, token},
		{"no fresh", without("fresh"), Refused("Fresh token required", Forbidden, "fresh_token_required")},
	}
}

// malleations returns functions that change the text of a token. A lenient
// parser reads the same token from the changed text.
func malleations() map[string]func(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return map[string]func(string) string{
		"!!!! in the signature": func(s string) string { return s + "!!!!" },
		"padding":               func(s string) string { return s + "=" },
		"space":                 func(s string) string { return s[:len(s)-1] + " " + s[len(s)-1:] },
		"unused bits": func(s string) string {
			last := strings.IndexByte(alphabet, s[len(s)-1])
			return s[:len(s)-1] + alphabet[last^1:][:1]
		},
	}
}
