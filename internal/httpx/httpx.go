// Package httpx parses the syntax shared by HTTP fields: tokens and lists (RFC
// 9110 section 5.6), upgrades and loopback hosts.
package httpx

import (
	"iter"
	"net/http"
	"strings"
)

// tokenBytes marks the characters of a token (RFC 9110 section 5.6.2).
var tokenBytes = func() (table [256]bool) {
	for c := byte('0'); c <= 'z'; c++ {
		table[c] = '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		table[c] = true
	}
	return table
}()

// IsToken reports whether s is a token (RFC 9110 section 5.6.2). Methods, field
// names, schemes and subprotocols are tokens.
func IsToken(s string) bool {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

// IsTokenByte reports whether c may be in a token.
func IsTokenByte(c byte) bool { return tokenBytes[c] }

// Items returns the non-empty members of a list field (RFC 9110 section 5.6.1),
// without surrounding white space.
func Items(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for item := range strings.SplitSeq(line, ",") {
				if item = strings.Trim(item, " \t"); item != "" && !yield(item) {
					return
				}
			}
		}
	}
}

// HasItem reports whether a list field contains item, compared exactly.
func HasItem(lines []string, item string) bool {
	for other := range Items(lines) {
		if other == item {
			return true
		}
	}
	return false
}

// HasToken reports whether a list field contains token, ignoring case. token
// must be in lower case.
func HasToken(lines []string, token string) bool {
	for item := range Items(lines) {
		if isFold(item, token) {
			return true
		}
	}
	return false
}

// IsOnly reports whether a field is a single line that equals token, ignoring
// case. token must be in lower case.
func IsOnly(lines []string, token string) bool {
	return len(lines) == 1 && isFold(strings.Trim(lines[0], " \t"), token)
}

// isFold reports whether LowerASCII(s) is lower, without allocating.
func isFold(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// LowerASCII returns s with A to Z in lower case. Unlike [strings.ToLower], it
// does not map letters beyond ASCII to ASCII, such as the Kelvin sign to k.
func LowerASCII(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return strings.Map(func(c rune) rune {
				if 'A' <= c && c <= 'Z' {
					return c + 'a' - 'A'
				}
				return c
			}, s)
		}
	}
	return s
}

// AsksForUpgrade reports whether a request with this header asks to change the
// protocol. It ignores an offer of h2c alone, which [StripUpgrade] removes.
func AsksForUpgrade(h http.Header) bool {
	offers := h["Upgrade"]
	return len(offers) > 0 && !IsOnly(offers, "h2c")
}

// StripUpgrade removes the offer to upgrade the protocol, which some clients
// add to each request, so that no upstream server accepts it.
func StripUpgrade(h http.Header) {
	h.Del("Upgrade")
	h.Del("Http2-Settings")
}

// IsJWS reports whether s looks like a token: a compact JWS whose header is a
// JSON object (RFC 7515 section 3.1).
func IsJWS(s string) bool {
	return strings.HasPrefix(s, "eyJ") && strings.Count(s, ".") == 2
}

// TicketPrefix begins every ticket of a guard, so that parameters of the
// application are not mistaken for tickets, and secret scanners find leaked
// ones.
const TicketPrefix = "wst_"

// minTicket is the length of the text after the prefix: a random text and a MAC
// in base32, whose alphabet is A to Z and 2 to 7.
const minTicket = 42

// ContainsTicket reports whether s contains a ticket anywhere, for example in a
// URL. The prefix alone is not a ticket.
func ContainsTicket(s string) bool {
	for {
		_, after, found := strings.Cut(s, TicketPrefix)
		if !found {
			return false
		}
		n := strings.IndexFunc(after, func(c rune) bool { return (c < 'A' || c > 'Z') && (c < '2' || c > '7') })
		if n < 0 {
			n = len(after)
		}
		if n >= minTicket {
			return true
		}
		s = after
	}
}

// maxSubprotocol is the maximum length in bytes of a subprotocol that a
// response may repeat. Longer ones may be credentials.
const maxSubprotocol = 64

// Subprotocol returns the first offered subprotocol that a response can
// select, or "". A browser fails the connection if none is selected. Items
// that may be credentials are skipped.
func Subprotocol(lines []string) string {
	for item := range Items(lines) {
		if len(item) <= maxSubprotocol && IsToken(item) && !IsJWS(item) {
			return item
		}
	}
	return ""
}
