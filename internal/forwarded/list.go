package forwarded

import "strings"

// maxMembers is the maximum number of members of a list that are read, from the
// right. Each proxy adds one, and reading stops at the first that is not
// trusted.
const maxMembers = 100

// A list reads the members of a field from the right: the last line first, and
// within a line the last member first. Proxies append to what they received,
// so a client cannot affect how the members of proxies are parsed.
type list struct {
	lines []string
	rest  string // rest of the current line
	open  bool   // rest may contain a member
	left  int    // number of members that may still be read
	quote bool   // commas in quoted strings are not separators
}

// previous returns the member before the last one that was read, without
// surrounding white space. It skips empty members (RFC 9110 section 5.6.1.2).
func (l *list) previous() (member string, ok bool) {
	for l.left > 0 {
		if !l.open {
			if len(l.lines) == 0 {
				return "", false
			}
			l.rest, l.open = l.lines[len(l.lines)-1], true
			l.lines = l.lines[:len(l.lines)-1]
		}
		l.left--
		at := l.comma()
		member = strings.Trim(l.rest[at+1:], " \t")
		if l.open = at >= 0; l.open {
			l.rest = l.rest[:at]
		}
		if member != "" {
			return member, true
		}
	}
	return "", false
}

// comma returns the index of the last comma that separates members, or -1.
func (l *list) comma() int {
	if !l.quote {
		return strings.LastIndexByte(l.rest, ',')
	}
	quoted := false
	for i := len(l.rest) - 1; i >= 0; i-- {
		switch l.rest[i] {
		case '"':
			if !quoted || !isEscaped(l.rest, i) {
				quoted = !quoted
			}
		case ',':
			if !quoted {
				return i
			}
		}
	}
	return -1
}

// isEscaped reports whether the byte at i follows an odd number of
// backslashes.
func isEscaped(s string, i int) bool {
	n := 0
	for i--; i >= 0 && s[i] == '\\'; i-- {
		n++
	}
	return n%2 == 1
}

// single returns a member of the field lines. If lines and others have the same
// number of members, it returns the member at index, from the right, because a
// proxy that appends to one of the fields also appends to the other. Most
// proxies replace the field instead. So in all other cases, single returns the
// last member, which the nearest proxy has written.
func single(lines []string, index int, others []string) (value string, ok bool) {
	members := collect(lines)
	switch {
	case len(members) == 0:
		return "", false
	case len(members) > 1 && index < len(members) && len(members) == len(collect(others)):
		return members[index], true
	}
	return members[0], true
}

// collect returns the members of a field, the last one first, at most
// maxMembers.
func collect(lines []string) (members []string) {
	l := list{lines: lines, left: maxMembers}
	for m, ok := l.previous(); ok; m, ok = l.previous() {
		members = append(members, m)
	}
	return members
}
