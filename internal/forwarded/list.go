package forwarded

import "strings"

// maxMembers is how many members of a list are read, from the right. Each
// proxy adds one, and what comes before the first that is not trusted is not
// read.
const maxMembers = 100

// A list reads the members of a field from the right: the last line first, and
// the last member of a line first. Each proxy adds its own behind what it got,
// so that a client cannot change how the members of proxies are read.
type list struct {
	lines []string
	rest  string // of the line that is being read
	open  bool   // rest may have a member
	left  int    // how many may still be read
	quote bool   // a comma in a quoted string separates nothing
}

// previous returns the member before the last one that was read, without the
// blanks around it. It skips empty members (RFC 9110 section 5.6.1.2).
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

// comma returns the index of the last comma that separates members, -1 if
// there is none.
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

// single returns the member of a field that belongs to a member of another
// one, which is the index-th of it from the right. Proxies that
// append to the one append to the other as well; most replace it. If neither
// is so, the last member counts, which the nearest proxy has written.
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

// collect returns the members of a field, the last one first, up to
// maxMembers.
func collect(lines []string) (members []string) {
	l := list{lines: lines, left: maxMembers}
	for m, ok := l.previous(); ok; m, ok = l.previous() {
		members = append(members, m)
	}
	return members
}
