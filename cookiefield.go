package wsauth

import (
	"iter"
	"net/http"
	"slices"
	"strings"
)

// cookiePairs yields the pairs of r's Cookie fields as a browser writes them
// (RFC 6265bis section 5.8.3): separated by "; ", names and values untouched.
// A name with other white space or quotes around it is another name: lenient
// readers let a planted cookie pass for one with a prefix.
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

// cookieValue returns the value of the one cookie of that name, or "" where
// there is none.
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

// stripCookies removes the cookies whose names drop says, however a lenient
// reader behind us would trim them. The others stay as they were sent.
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

// stripLine is stripCookies for one line of the field.
func stripLine(line string, drop func(name string) bool) string {
	pairs := strings.Split(line, ";")
	kept := slices.DeleteFunc(pairs, func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return drop(trimName(name))
	})
	return strings.TrimPrefix(strings.Join(kept, ";"), " ")
}

// trimName removes what lenient readers trim from a name: quotes and white
// space, also that of Latin-1 (0x85 and 0xA0), as which some read a field.
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
