package password

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the maximum length of a user name in bytes, as for the subject of
// a token.
const maxName = 256

// maxFaults is the maximum number of faults that parseList reports.
const maxFaults = 10

// A User is a line of a user file.
type User struct {
	Name string
	Hash Hash
}

// A List is a list of users with distinct names, in the order of their file.
// It is immutable and safe for concurrent use.
type List struct {
	users  []User
	byName map[string]int
	seed   maphash.Seed
	decoy  Hash // used if the list is empty
	blank  bool // the file had no lines at all
}

// NewList returns a list of users. It fails if a name is duplicate or invalid.
func NewList(users []User) (*List, error) {
	l := &List{users: slices.Clone(users), byName: map[string]int{}, seed: maphash.MakeSeed(), decoy: decoy()}
	for i, u := range l.users {
		if err := CheckName(u.Name); err != nil {
			return nil, err
		}
		if _, twice := l.byName[u.Name]; twice {
			return nil, fmt.Errorf("the user %q is listed twice", u.Name)
		}
		l.byName[u.Name] = i
	}
	return l, nil
}

// parseList parses a user file: one "name:hash" per line. Empty lines and
// lines that begin with # are ignored. It reports up to ten faults at once,
// each with its line number.
func parseList(data []byte) (*List, error) {
	var users []User
	var faults []error
	lineOf := map[string]int{}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		text := string(bytes.TrimRight(line, "\r\n"))
		if text == "" || text[0] == '#' {
			continue
		}
		user, err := parseUser(text)
		if first, twice := lineOf[user.Name]; err == nil && twice {
			err = fmt.Errorf("the user %q is in line %d already; remove one of the two", user.Name, first)
		}
		if err == nil {
			users = append(users, user)
			lineOf[user.Name] = number
			continue
		}
		if faults = append(faults, fmt.Errorf("line %d: %w", number, err)); len(faults) == maxFaults {
			break
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	list, err := NewList(users)
	if err == nil {
		list.blank = len(bytes.TrimSpace(data)) == 0
	}
	return list, err
}

func parseUser(text string) (User, error) {
	name, hash, ok := strings.Cut(text, ":")
	if !ok {
		return User{}, errors.New("there is no colon; write name:hash")
	}
	if err := CheckName(name); err != nil {
		return User{}, err
	}
	h, err := Parse(hash)
	return User{name, h}, err
}

// CheckName returns an error if name is not a valid user name.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > maxName:
		return fmt.Errorf("the name is longer than %d bytes", maxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("the name has characters that are not printable")
	case strings.TrimSpace(name) != name || name[0] == '#' || strings.Contains(name, ":"):
		return fmt.Errorf("the name %q begins or ends with a space, begins with # or has a colon", name)
	}
	return nil
}

// Blank reports whether l was read from a completely empty file, without even
// a comment. Such a file may be incomplete: a program is about to write it, or
// failed to.
func (l *List) Blank() bool { return l.blank }

// format returns the content of a user file. It is never blank.
func (l *List) format() []byte {
	var data bytes.Buffer
	if len(l.users) == 0 {
		data.WriteString("# There are no users.\n")
	}
	for _, u := range l.users {
		fmt.Fprintf(&data, "%s:%s\n", u.Name, u.Hash.Text())
	}
	return data.Bytes()
}

// Users returns a copy of the users.
func (l *List) Users() []User { return slices.Clone(l.users) }

// Find returns the hash of a user. If the name is unknown, it returns false and
// the hash of another user, which the caller must verify as well. The choice
// depends on the name. So the response times for unknown names are distributed
// like those for known ones. They also stay the same for each name, even if the
// hashes in the file differ in cost.
func (l *List) Find(name string) (Hash, bool) {
	if i, ok := l.byName[name]; ok {
		return l.users[i].Hash, true
	}
	if len(l.users) == 0 {
		return l.decoy, false
	}
	return l.users[maphash.String(l.seed, name)%uint64(len(l.users))].Hash, false
}

// A Difference describes the changes from one list to another.
type Difference struct {
	Added   []string // new names
	Changed []string // names with another hash
	Removed []string // removed names
}

// Outdated returns the names whose sessions must end: those that were removed
// and those whose hash has changed.
func (d Difference) Outdated() []string { return slices.Concat(d.Changed, d.Removed) }

// Difference returns the changes from l to next.
func (l *List) Difference(next *List) Difference {
	var d Difference
	for _, u := range l.users {
		switch hash, known := next.Find(u.Name); {
		case !known:
			d.Removed = append(d.Removed, u.Name)
		case hash != u.Hash:
			d.Changed = append(d.Changed, u.Name)
		}
	}
	for _, u := range next.users {
		if _, known := l.byName[u.Name]; !known {
			d.Added = append(d.Added, u.Name)
		}
	}
	return d
}
