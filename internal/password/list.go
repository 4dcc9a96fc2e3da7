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

// maxName is the length in bytes of the longest user name, as many as the subject of a token may have.
const maxName = 256

// maxFaults is how many faults of a file are told at once.
const maxFaults = 10

// A User is one line of a file.
type User struct {
	Name string
	Hash Hash
}

// A List holds users, in the order of their file and each name once. It is immutable and safe for concurrent use.
type List struct {
	users  []User
	byName map[string]int
	seed   maphash.Seed
	decoy  Hash // for an empty list
	blank  bool // read from a file without a line
}

// NewList makes a list. The error says which name is twice there, or cannot be a name.
func NewList(users []User) (*List, error) {
	l := &List{users: slices.Clone(users), byName: map[string]int{}, seed: maphash.MakeSeed(), decoy: Decoy()}
	for i, u := range l.users {
		if err := CheckName(u.Name); err != nil {
			return nil, err
		}
		if _, twice := l.byName[u.Name]; twice {
			return nil, fmt.Errorf("the user %q is there twice", u.Name)
		}
		l.byName[u.Name] = i
	}
	return l, nil
}

// ParseList reads the content of a file: a user a line, as "name:hash". Empty lines and those that begin with # mean nothing. It
// reports the faults of ten lines at once, each with its number.
func ParseList(data []byte) (*List, error) {
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
		return User{}, errors.New("there is no colon; a line is name:hash")
	}
	if err := CheckName(name); err != nil {
		return User{}, err
	}
	h, err := Parse(hash)
	return User{name, h}, err
}

// CheckName reports what is wrong with the name of a user.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > maxName:
		return fmt.Errorf("the name is longer than %d bytes", maxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("the name has characters that cannot be seen")
	case strings.TrimSpace(name) != name || name[0] == '#' || strings.Contains(name, ":"):
		return fmt.Errorf("the name %q begins or ends with a space, begins with # or has a colon", name)
	}
	return nil
}

// Blank reports whether l was read from a file that holds nothing at all, not
// even a comment. Somebody may be about to write it, or could not.
func (l *List) Blank() bool { return l.blank }

// format returns the content of a file of the users. It is never blank.
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

// Users are all of them. The caller owns the slice.
func (l *List) Users() []User { return slices.Clone(l.users) }

// Find returns the hash of a user. For a name that is not known it reports false and returns the hash of some user, to be
// checked all the same: which one depends on the name, so that the times which unknown names take, and each of them again, are
// those of known ones, also where the hashes of a file differ in cost.
func (l *List) Find(name string) (Hash, bool) {
	if i, ok := l.byName[name]; ok {
		return l.users[i].Hash, true
	}
	if len(l.users) == 0 {
		return l.decoy, false
	}
	return l.users[maphash.String(l.seed, name)%uint64(len(l.users))].Hash, false
}

// A Difference is what sets one list apart from an earlier one.
type Difference struct {
	Added   []string // names that are new
	Changed []string // names with another hash
	Removed []string // names that are gone
}

// Outdated returns the names under which nobody may stay logged in: those that
// are gone, and those with another hash.
func (d Difference) Outdated() []string { return slices.Concat(d.Changed, d.Removed) }

// Difference compares l with next, which takes its place.
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
