package proxy

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"wsauth/internal/gateway/telemetry"
	"wsauth/internal/httpx"
	"wsauth/internal/urlpath"
)

var ambiguousPath = telemetry.Problem(http.StatusBadRequest, "invalid_request", "The path can be read in two ways: write it without empty parts, dots, backslashes, semicolons and needless escapes, and with the capitals and the final slash of its route")

// ambiguous refuses a request whose path servers can read in different ways.
func ambiguous(w http.ResponseWriter, r *http.Request) { refuseAsAmbiguous(w, r, ambiguousPath) }

// refuseAsAmbiguous refuses such a request with the given handler. It closes
// the connection of a handshake, since what follows one is not a request.
func refuseAsAmbiguous(w http.ResponseWriter, r *http.Request, refuse http.HandlerFunc) {
	if httpx.AsksForUpgrade(r.Header) {
		w.Header().Set("Connection", "close")
	}
	refuse(w, r)
}

// readPath reports whether the path of a request can be matched against the
// routes. A server behind the gateway may read "/public/..%2fadmin", "/a//b"
// or "/admin;x" as another path, and so serve what another route guards. If
// the path has several readings that the routes may allow, readPath returns
// them.
func readPath(r *http.Request) (readings []string, ok bool) {
	if !strings.HasPrefix(r.RequestURI, "/") || strings.Contains(r.RequestURI, "#") {
		return nil, false
	}
	if r.URL.RawPath != "" {
		// EscapedPath ignores a RawPath that contains characters such as "|",
		// and escapes Path again. An escaped slash would become a plain one.
		r.URL.RawPath = urlpath.Escape(r.URL.RawPath)
	}
	escaped := r.URL.EscapedPath()
	if isPlain(escaped, r.URL.Path) {
		return nil, true
	}
	readings = readingsOf(escaped, r.URL.Path)
	return readings, readings != nil
}

// isPlain reports whether all servers read a path in the same way. escaped is
// the path as sent, path the decoded one.
func isPlain(escaped, path string) bool {
	if urlpath.Clean(escaped) != escaped || urlpath.Clean(path) != path || !utf8.ValidString(path) || holdsEscape(path) {
		return false
	}
	if strings.ContainsAny(path, "\\;") || strings.ContainsFunc(path, unicode.IsControl) {
		return false
	}
	if read := compatible(path); hidesPart(read) || read != path && (urlpath.Clean(read) != read || holdsEscape(read) || strings.Contains(read, "\\")) {
		return false
	}
	for rest := escaped; ; {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			return true
		}
		if len(rest) < i+3 {
			return false
		}
		if two := rest[i+1 : i+3]; strings.EqualFold(two, "2f") || strings.EqualFold(two, "2e") { // a slash or a dot
			return false
		}
		rest = rest[i+3:]
	}
}

// holdsEscape reports whether a path that was decoded once still contains an
// escape: "%73", or "%u0073", which some servers accept. If several servers in
// a chain decode such a path, the last one serves a path other than the one
// that was matched against the routes.
func holdsEscape(path string) bool {
	for {
		i := strings.IndexByte(path, '%')
		if i < 0 {
			return false
		}
		path = path[i+1:]
		if hexDigits(path, 2) || path != "" && path[0]|0x20 == 'u' && hexDigits(path[1:], 4) {
			return true
		}
	}
}

// hexDigits reports whether s begins with n hexadecimal digits.
func hexDigits(s string, n int) bool {
	if len(s) < n {
		return false
	}
	for i := range n {
		c := s[i] | 0x20
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// hidesPart reports whether a segment other than the last consists of dots and
// spaces only. Servers that trim these see an empty segment or the parent.
func hidesPart(path string) bool {
	hides := false // the current segment has only dots and spaces so far
	for i := range len(path) {
		switch path[i] {
		case '/':
			if hides {
				return true
			}
		case '.', ' ':
			hides = hides || path[i-1] == '/'
		default:
			hides = false
		}
	}
	return false
}

// loosen maps a path to a form that is the same for all spellings that some
// server treats as equal: those that differ in case, in compatible characters,
// in a final slash, in dots and spaces at the end of a segment, and in what
// follows a question mark, a number sign or a semicolon.
func loosen(path string) string {
	path = foldCase(path)
	if end := strings.IndexAny(path, "?#;"); end >= 0 {
		path = path[:end]
	}
	path = strings.TrimSuffix(path, "/")
	if !endsPartWith(path, '.') && !endsPartWith(path, ' ') {
		return path
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = strings.TrimRight(part, ". ")
	}
	return strings.TrimRight(strings.Join(parts, "/"), "/")
}

// endsPartWith reports whether a segment of path ends with c.
func endsPartWith(path string, c byte) bool {
	for i := range len(path) {
		if path[i] == c && (i+1 == len(path) || path[i+1] == '/') {
			return true
		}
	}
	return false
}

// compatible maps s to a form that is the same for all spellings that some
// servers convert into each other: composed and decomposed letters,
// full-width, circled and other variants of characters (NFKC, Unicode Standard
// Annex #15), and all kinds of spaces. It drops invisible characters, as some
// file systems do.
func compatible(s string) string {
	if isASCII(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Cf, r):
			return -1
		case unicode.IsSpace(r):
			return ' '
		}
		return r
	}, norm.NFKC.String(s))
}

// foldCase maps s to a form that is the same for all compatible spellings that
// differ in case. It converts to upper and then to lower case, since some
// letters are the same only in upper case and others only in lower case.
func foldCase(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return compatible(strings.ToLower(strings.ToUpper(compatible(s))))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
