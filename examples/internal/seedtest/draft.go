package seedtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// A Draft is a token before it is encoded. It is valid until a fault changes
// it.
type Draft struct {
	Raw    string         // if not empty, the whole token; the other fields are ignored
	Absent bool           // no token at all
	Cut    bool           // without the third segment
	Header string         // JSON
	Claims map[string]any // of the payload
	Tail   string         // appended to the JSON of the payload
	Secret string
	CSRF   string // the value that the page sends, for a token in a cookie
}

// A Kind is a kind of token.
type Kind string

// The kinds of tokens.
const (
	Fresh   Kind = "fresh access token"
	Stale   Kind = "access token that is not fresh"
	Refresh Kind = "refresh token"
)

// NewDraft returns a valid token of a kind. Its CSRF value is for tokens in
// cookies.
func NewDraft(kind Kind) *Draft {
	const csrf = "0b5c8d7e-2f41-4c1a-9d3e-6a7b8c9d0e1f"
	now := time.Now().Unix()
	d := &Draft{
		Header: `{"alg":"HS256","typ":"JWT"}`,
		Claims: map[string]any{"sub": "test", "iat": now, "nbf": now, "jti": "a", "exp": now + 900, "type": "access", "fresh": kind == Fresh, "csrf": csrf},
		Secret: "secret",
		CSRF:   csrf,
	}
	if kind == Refresh {
		d.Claims["type"] = "refresh"
		delete(d.Claims, "fresh")
	}
	return d
}

// Token returns the token in the form in which it is sent.
func (d *Draft) Token(t *testing.T) string {
	t.Helper()
	switch {
	case d.Absent:
		return ""
	case d.Raw != "":
		return d.Raw
	}
	signed := segment(d.Header) + "." + segment(d.payload(t)+d.Tail)
	if d.Cut {
		return signed
	}
	mac := hmac.New(sha256.New, []byte(d.Secret))
	mac.Write([]byte(signed))
	return signed + "." + segment(string(mac.Sum(nil)))
}

func (d *Draft) payload(t *testing.T) string {
	t.Helper()
	payload, err := json.Marshal(d.Claims)
	if err != nil {
		t.Fatal(err)
	}
	return string(payload)
}

func segment(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// Parts returns the header and the payload of a token, as JSON.
func Parts(t *testing.T, token string) (header, payload string) {
	t.Helper()
	segments := strings.Split(token, ".")
	if len(segments) != 3 {
		t.Fatalf("%q has not three segments", token)
	}
	var parts [2]string
	for i := range parts {
		part, err := base64.RawURLEncoding.DecodeString(segments[i])
		if err != nil {
			t.Fatal(err)
		}
		parts[i] = string(part)
	}
	return parts[0], parts[1]
}
