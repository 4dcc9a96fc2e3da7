// Package urlpath compares paths of URLs in one spelling.
package urlpath

import (
	"errors"
	"net/url"
	"strings"
)

// MaxLength is the maximum length of a path in bytes. An escape counts as the
// one byte that it stands for, so that the spelling makes no difference.
const MaxLength = 2048

var (
	errRelative = errors.New("the path does not begin with a slash")
	errTooLong  = errors.New("the path is longer than 2048 bytes")
)

// Canonical returns the one spelling of a path that is compared. Escapes of
// unreserved characters are decoded, other escapes are in capitals, and
// whatever RFC 3986 does not allow in a path is escaped (section 6.2.2):
// spaces and controls, bytes beyond ASCII, a percent sign that begins no
// escape, and characters such as "|" and "^", of which each browser escapes
// others. An escaped slash, semicolon or other reserved character stays
// escaped: it is not the plain one. Parts "." and ".." are resolved, as the
// URL of browsers does.
//
// The browser's side is client/path.js; testdata/paths.json is common to the
// tests of both.
func Canonical(path string) (string, error) {
	if path == "" || path[0] != '/' {
		return "", errRelative
	}
	if length(path) > MaxLength {
		return "", errTooLong
	}
	return resolveDots(spell(path, true)), nil
}

// Escape escapes what RFC 3986 does not allow in a path, and nothing else. So
// [url.URL.EscapedPath] returns it as it is, which otherwise decodes an
// escaped slash if there is a character such as "|" beside it.
func Escape(path string) string { return spell(path, false) }

// Sent returns the path of u as it was sent. It is [url.URL.EscapedPath], but
// keeps escaped slashes beside characters that a URL should not have.
func Sent(u *url.URL) string {
	if decoded, err := url.PathUnescape(u.RawPath); err == nil && u.RawPath != "" && decoded == u.Path {
		return u.RawPath
	}
	return (&url.URL{Path: u.Path}).EscapedPath()
}

// HasDots reports whether a path has a part "." or "..", escaped or not. No
// browser sends one.
func HasDots(path string) bool {
	for part := range strings.SplitSeq(spell(path, true), "/") {
		if isDots(part) {
			return true
		}
	}
	return false
}

// length returns the number of bytes that a path stands for.
func length(path string) int {
	n := len(path)
	for i := range len(path) {
		if isEscape(path[i:]) {
			n -= 2
		}
	}
	return n
}

const hexDigits = "0123456789ABCDEF"

// spell escapes what a path may not have. If normalize is set, it also decodes
// the escapes of unreserved characters and writes the others in capitals.
func spell(path string, normalize bool) string {
	i := 0
	for i < len(path) && mayStand(path[i]) {
		i++
	}
	if i == len(path) {
		return path
	}
	spelled := make([]byte, i, len(path)+16)
	copy(spelled, path)
	for i < len(path) {
		c, isEscaped := path[i], isEscape(path[i:])
		i++
		if isEscaped {
			escape := path[i : i+2]
			i += 2
			c = unhex(escape[0])<<4 | unhex(escape[1])
			switch {
			case !normalize:
				spelled = append(append(spelled, '%'), escape...)
			case isUnreserved(c):
				spelled = append(spelled, c)
			default:
				spelled = append(spelled, '%', hexDigits[c>>4], hexDigits[c&15])
			}
			continue
		}
		if mayStand(c) {
			spelled = append(spelled, c)
		} else {
			spelled = append(spelled, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(spelled)
}

// resolveDots removes parts "." and ".." as the URL Standard does.
func resolveDots(path string) string {
	if !strings.Contains(path, "/.") {
		return path
	}
	parts := strings.Split(path[1:], "/")
	kept := parts[:0]
	for i, part := range parts {
		if part == ".." {
			kept = kept[:max(0, len(kept)-1)]
		}
		if !isDots(part) {
			kept = append(kept, part)
		} else if i == len(parts)-1 {
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/")
}

func isDots(part string) bool { return part == "." || part == ".." }

// isEscape reports whether s begins with an escape.
func isEscape(s string) bool {
	return len(s) >= 3 && s[0] == '%' && isHex(s[1]) && isHex(s[2])
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// isUnreserved reports whether a character means the same escaped or not (RFC
// 3986 section 2.3).
func isUnreserved(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// mayStand reports whether a path may have a character unescaped: those of
// pchar (RFC 3986 section 3.3), and the slash.
func mayStand(c byte) bool {
	return isUnreserved(c) || strings.IndexByte("/!$&'()*+,;=:@", c) >= 0
}
