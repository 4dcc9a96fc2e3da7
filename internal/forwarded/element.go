package forwarded

import (
	"strings"

	"wsauth/internal/httpx"
)

// An element is an element of the Forwarded field, in which one proxy
// describes the hop before it (RFC 7239 section 4).
type element struct {
	node, proto, host string // "" if absent
}

// parseElement parses an element. ok is false if it is invalid or has a
// parameter twice. Unknown parameters are ignored. Colons and brackets are
// accepted without quotes, because proxies write addresses like that.
func parseElement(text string) (e element, ok bool) {
	var seen uint8
	for {
		text = strings.TrimLeft(text, " \t")
		name, rest, found := strings.Cut(text, "=")
		if !found || !httpx.IsToken(name) {
			return element{}, false
		}
		value, rest, ok := cutValue(rest)
		if !ok {
			return element{}, false
		}
		var bit uint8
		switch strings.ToLower(name) {
		case "for":
			bit, e.node = 1, value
		case "proto":
			bit, e.proto = 2, value
		case "host":
			bit, e.host = 4, value
		case "by":
			bit = 8
		}
		if seen&bit != 0 {
			return element{}, false
		}
		seen |= bit
		rest = strings.TrimLeft(rest, " \t")
		if rest == "" {
			return e, true
		}
		if rest[0] != ';' {
			return element{}, false
		}
		if text = strings.Trim(rest[1:], " \t"); text == "" {
			return e, true // some proxies end with a semicolon
		}
	}
}

// cutValue parses a token or a quoted string at the beginning of text.
func cutValue(text string) (value, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		end := 0
		for end < len(text) && (httpx.IsTokenByte(text[end]) || strings.IndexByte(":[]", text[end]) >= 0) {
			end++
		}
		return text[:end], text[end:], end > 0
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return b.String(), text[i+1:], true
		case c == '\\':
			if i++; i == len(text) || text[i] < ' ' && text[i] != '\t' || text[i] == 0x7f {
				return "", "", false
			}
			b.WriteByte(text[i])
		case c < ' ' && c != '\t' || c == 0x7f:
			return "", "", false
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}
