// Package logtext makes text from the network safe for a line of a log.
package logtext

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxShort is the length to which Short truncates, in bytes.
const maxShort = 64

// Short returns s, truncated to 64 bytes and made visible.
func Short(s string) string { return Visible(Cut(s, maxShort)) }

// Cut returns s truncated to at most n bytes at a character boundary. If s is
// longer, it appends an ellipsis.
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

// Visible replaces characters with U+FFFD if they are not printable, change the
// direction of text, or are not UTF-8.
func Visible(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// Host returns the IP address of an [net/http.Request.RemoteAddr], without the
// port. Other text is made visible.
func Host(remoteAddr string) string {
	if a, err := netip.ParseAddrPort(remoteAddr); err == nil {
		return a.Addr().Unmap().String()
	}
	return Visible(remoteAddr)
}
