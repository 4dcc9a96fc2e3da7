// Package urlpath normalizes the paths of URLs for comparison.
package urlpath

import (
	"errors"
	"net/url"
	"path"
	"strings"
)

// MaxLength is the maximum length of a path in bytes. An escape has the length
// of the byte that it represents, so the length does not depend on the
// spelling.
const MaxLength = 2048

var (
	errRelative = errors.New("the path does not begin with a slash")
	errTooLong  = errors.New("the path is longer than 2048 bytes")
)

// Canonical returns the canonical spelling of a path. Escapes of unreserved
// characters are decoded and other escapes are in upper case. Everything that
// RFC 3986 does not allow in a path is escaped (section 6.2.2): spaces and
// control characters, bytes beyond ASCII, a percent sign that does not begin an
// escape, and characters such as "|" and "^", which browsers treat differently.
// An escaped slash, semicolon or other reserved character stays escaped,
// because it is not equivalent to the plain one. Segments "." and ".." are
// resolved as browsers do.
//
// client/path.js is the counterpart in the browser; testdata/paths.json is
// used by the tests of both.
func Canonical(path string) (string, error) {
	if path == "" || path[0] != '/' {
		return "", errRelative
	}
	if length(path) > MaxLength {
		return "", errTooLong
	}
	return resolveDots(respell(path, true)), nil
}

// Escape escapes what RFC 3986 does not allow in a path, and nothing else.
// [url.URL.EscapedPath] returns the result unchanged. Without Escape, it would
// decode an escaped slash if the path also has a character such as "|".
func Escape(path string) string { return respell(path, false) }

// Sent returns the path of u as it was sent. It is like [url.URL.EscapedPath],
// but preserves escaped slashes in paths with characters that need escaping.
func Sent(u *url.URL) string {
	if decoded, err := url.PathUnescape(u.RawPath); err == nil && u.RawPath != "" && decoded == u.Path {
		return u.RawPath
	}
	return (&url.URL{Path: u.Path}).EscapedPath()
}

// HasDots reports whether a path has a segment "." or "..", escaped or not.
// Browsers never send one.
func HasDots(path string) bool {
	for part := range strings.SplitSeq(respell(path, true), "/") {
		if isDots(part) {
			return true
		}
	}
	return false
}

// length returns the length of a path in bytes, with escapes decoded.
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

// respell escapes the bytes that a path must not contain. If normalize is set,
// it also decodes escapes of unreserved characters and writes the others in
// upper case.
func respell(path string, normalize bool) string {
	i := 0
	for i < len(path) && isPathByte(path[i]) {
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
		if isPathByte(c) {
			spelled = append(spelled, c)
		} else {
			spelled = append(spelled, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(spelled)
}

// resolveDots removes segments "." and ".." by the rules of the URL Standard.
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

// isUnreserved reports whether a character is equivalent to its escape (RFC
// 3986 section 2.3).
func isUnreserved(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// isPathByte reports whether a path may contain c unescaped: the characters of
// pchar (RFC 3986 section 3.3), and the slash.
func isPathByte(c byte) bool {
	return isUnreserved(c) || strings.IndexByte("/!$&'()*+,;=:@", c) >= 0
}

// Clean returns p without empty parts and without the parts "." and "..".
// A final slash stays. Nothing is decoded.
func Clean(p string) string {
	rooted := p
	if !strings.HasPrefix(p, "/") {
		rooted = "/" + p
	}
	cleaned := path.Clean(rooted) // which allocates nothing for a clean path
	if strings.HasSuffix(p, "/") && cleaned != "/" {
		cleaned += "/"
	}
	return cleaned
}
