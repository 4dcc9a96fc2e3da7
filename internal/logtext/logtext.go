// Package logtext makes text from the network fit for one line of a log.
package logtext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxShort is the longest text that Short leaves whole, in bytes.
const maxShort = 64

// Short returns s cut to 64 bytes and without characters that cannot be seen.
func Short(s string) string { return Visible(Cut(s, maxShort)) }

// Cut returns s if it has at most n bytes; otherwise its first n, less a rune
// that does not fit whole, and an ellipsis.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := n; i > n-utf8.UTFMax && i > 0; i-- {
		if utf8.RuneStart(s[i]) {
			n = i
			break
		}
	}
	return s[:n] + "…"
}

// Visible replaces what cannot be seen, turns the direction of the text or is
// not UTF-8 with U+FFFD.
func Visible(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
