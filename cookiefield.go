package wsauth

import (
	"iter"
	"net/http"
	"slices"
	"strings"
)

// cookiePairs yields the pairs in the Cookie headers of r, each with its name.
// It reads what browsers write (RFC 6265bis section 5.8.3): pairs separated by
// "; ", with unchanged names and values. A name with other white space or
// quotes around it is a different name: parsers that trim it mistake a planted
// cookie for one with a prefix.
func cookiePairs(r *http.Request) iter.Seq2[string, string] {
	return func(yield func(pair, name string) bool) {
		for _, line := range r.Header["Cookie"] {
			for i := 0; line != ""; i++ {
				var pair string
				pair, line, _ = strings.Cut(line, ";")
				if i > 0 {
					pair = strings.TrimPrefix(pair, " ")
				}
				name, _, _ := strings.Cut(pair, "=")
				if !yield(pair, name) {
					return
				}
			}
		}
	}
}

// cookieValue returns the value of the cookie with a name, or "" if there is
// none. More than one is an error.
func cookieValue(r *http.Request, name string) (string, error) {
	value, found := "", false
	for pair, n := range cookiePairs(r) {
		if n != name {
			continue
		}
		if found {
			return "", refuseWith(InvalidRequest, "More than one cookie "+name)
		}
		value, found = strings.TrimPrefix(pair[len(n):], "="), true
	}
	return value, nil
}

// stripCookies removes the cookies for whose names drop returns true, even if
// a lenient parser behind the guard would have to trim the name. The others
// stay as they were sent.
func stripCookies(r *http.Request, drop func(name string) bool) {
	var kept []string
	for _, line := range r.Header["Cookie"] {
		if line = stripLine(line, drop); line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		r.Header.Del("Cookie")
		return
	}
	r.Header["Cookie"] = kept
}

// stripLine removes cookies from one Cookie header, like stripCookies.
func stripLine(line string, drop func(name string) bool) string {
	pairs := strings.Split(line, ";")
	kept := slices.DeleteFunc(pairs, func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return drop(trimName(name))
	})
	return strings.TrimPrefix(strings.Join(kept, ";"), " ")
}

// trimName removes what lenient parsers trim from a name: quotes and white
// space. This includes the bytes 0x85 and 0xA0, because some parsers read
// headers as Latin-1.
func trimName(name string) string {
	const around = "\t \"\x85\xa0"
	name = strings.TrimSpace(name)
	for name != "" && strings.IndexByte(around, name[0]) >= 0 {
		name = name[1:]
	}
	for name != "" && strings.IndexByte(around, name[len(name)-1]) >= 0 {
		name = name[:len(name)-1]
	}
	return name
}
