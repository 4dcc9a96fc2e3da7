// Package httpx reads the syntax that HTTP's fields have in common: tokens and
// lists (RFC 9110 section 5.6), upgrades, and names of this machine.
package httpx

import (
	"iter"
	"net/http"
	"net/netip"
	"strings"
)

// tokenBytes holds the characters of a token (RFC 9110 section 5.6.2).
var tokenBytes = func() (table [256]bool) {
	for c := byte('0'); c <= 'z'; c++ {
		table[c] = '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		table[c] = true
	}
	return table
}()

// IsToken reports whether s is a token (RFC 9110 section 5.6.2), as methods,
// names of fields, schemes and subprotocols are.
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

// Items returns the members of a list field (RFC 9110 section 5.6.1), without
// the white space of HTTP around them. It leaves out empty ones.
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

// HasItem reports whether a list field has item, in this spelling.
func HasItem(lines []string, item string) bool {
	for other := range Items(lines) {
		if other == item {
			return true
		}
	}
	return false
}

// HasToken reports whether a list field has token, which is in lower case, in
// any case of ASCII.
func HasToken(lines []string, token string) bool {
	for item := range Items(lines) {
		if LowerASCII(item) == token {
			return true
		}
	}
	return false
}

// IsOnly reports whether a field is a single line with only token, which is in
// lower case, in any case of ASCII.
func IsOnly(lines []string, token string) bool {
	return len(lines) == 1 && LowerASCII(strings.Trim(lines[0], " \t")) == token
}

// LowerASCII returns s with A to Z in lower case. [strings.ToLower] also folds
// letters beyond ASCII into ASCII, such as the Kelvin sign into k.
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

// StripUpgrade removes the offer to leave HTTP, which some clients add to each
// request, so that no server behind this one takes it up.
func StripUpgrade(h http.Header) {
	h.Del("Upgrade")
	h.Del("Http2-Settings")
}

// IsJWS reports whether s has the form of a compact JWS whose header is a JSON
// object, as tokens have (RFC 7515 section 3.1).
func IsJWS(s string) bool {
	return strings.HasPrefix(s, "eyJ") && strings.Count(s, ".") == 2
}

// maxSubprotocol is the maximum length of a subprotocol that is repeated in an
// answer, in bytes. A longer one may well be a credential.
const maxSubprotocol = 64

// Subprotocol returns the first subprotocol of an offer that can be repeated
// in the answer, or "". A browser fails a socket whose answer selects none. An
// item that may be a credential is passed over.
func Subprotocol(lines []string) string {
	for item := range Items(lines) {
		if len(item) <= maxSubprotocol && IsToken(item) && !IsJWS(item) {
			return item
		}
	}
	return ""
}

// IsLoopback reports whether host, without a port, is localhost or an address
// of this machine's loopback network. Names below localhost are not, since a
// resolver may send them elsewhere.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
