// Package inspect explains a token to a person without verifying it.
package inspect

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"wsauth/token"
)

// MaxBytes is the maximum length of a text to inspect.
const MaxBytes = 64 << 10

// A Token is the content of a text that may be a compact JWS. Nothing of it is
// verified.
type Token struct {
	Raw    string
	Header []Member // nil if it cannot be parsed at all
	Claims []Member

	// Fault is the reason why no verifier would parse the token, whatever its
	// keys. It is nil if the token is well formed.
	Fault error
}

// A Member is a name and value of the header or the payload.
type Member struct {
	Name  string
	Value jsontext.Value
}

// Read parses text as leniently as possible. It ignores surrounding white
// space and a preceding "Bearer", which often result from copying.
func Read(text string) Token {
	raw := strings.TrimSpace(text)
	if scheme, rest, found := strings.Cut(raw, " "); found && strings.EqualFold(scheme, "Bearer") {
		raw = strings.TrimSpace(rest)
	}
	t := Token{Raw: raw}
	if len(raw) > MaxBytes {
		t.Fault = errors.New("longer than 65536 bytes")
		return t
	}
	_, t.Fault = token.UnverifiedIssuer(raw)
	segments := strings.SplitN(raw, ".", 6)
	t.Header = members(segments[0])
	switch len(segments) {
	case 2, 3:
		t.Claims = members(segments[1])
	case 5:
		t.Fault = errors.New("five segments: it is encrypted (JWE, RFC 7516); wsauth accepts only signed tokens (JWS)")
	}
	return t
}

// members returns the members of a segment that is a JSON object, as far as it
// can be parsed.
func members(segment string) (all []Member) {
	data, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(segment, "="))
	if err != nil {
		return nil
	}
	in := jsontext.NewDecoder(strings.NewReader(string(data)), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if first, err := in.ReadToken(); err != nil || first.Kind() != '{' {
		return nil
	}
	all = []Member{}
	for in.PeekKind() == '"' {
		name, err := in.ReadToken()
		if err != nil {
			return all
		}
		m := Member{Name: name.String()}
		value, err := in.ReadValue()
		if err != nil && !errors.Is(err, io.EOF) {
			return all
		}
		m.Value = value.Clone()
		all = append(all, m)
	}
	return all
}

// Text returns the value of the last member with that name if it is a string,
// or "".
func Text(all []Member, name string) string {
	var text string
	for _, m := range all {
		if m.Name == name {
			text = m.text()
		}
	}
	return text
}

// Has reports whether there is a member with that name.
func Has(all []Member, name string) bool {
	for _, m := range all {
		if m.Name == name {
			return true
		}
	}
	return false
}

// text returns the value if it is a string, or "".
func (m Member) text() string {
	if m.Value.Kind() != '"' {
		return ""
	}
	text, err := jsontext.AppendUnquote(nil, m.Value)
	if err != nil {
		return ""
	}
	return string(text)
}

// Warnings returns the reasons why anybody could have made the token: it has
// no signature, or its algorithm does not sign. Accepting such tokens was the
// worst fault of JWT libraries.
func (t Token) Warnings() []string {
	if t.Header == nil {
		return nil
	}
	var all []string
	warn := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	algorithms := 0
	for _, m := range t.Header {
		if m.Name != "alg" {
			continue
		}
		algorithms++
		switch alg := strings.TrimSpace(m.text()); {
		case strings.EqualFold(alg, "none"):
			warn("its alg is %s: nothing signs it, and anybody can write such a token. A server that accepts it lets everybody in.", Printable(string(m.Value)))
		case alg == "":
			warn("its alg is %s, which names no algorithm: a verifier must not guess one.", Printable(string(m.Value)))
		}
	}
	if algorithms == 0 {
		warn("its header has no alg: a verifier must not guess one.")
	}
	switch segments := strings.Split(t.Raw, "."); {
	case len(segments) == 2:
		warn("it has no signature, and no place for one: anybody can write such a token.")
	case len(segments) == 3 && strings.Trim(segments[2], "= \t\r\n") == "":
		warn("its signature is empty: anybody can write such a token.")
	}
	return all
}
