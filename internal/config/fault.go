package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Fault is an error in a file, or in a value that overrides it.
type Fault struct {
	File   string // "" if there is no file
	Line   int    // starts at 1
	Key    string // path such as "routes[0].limits.ping", or ""
	Source string // where the value is from, such as "--addr", or ""
	Text   string // what is wrong and what to do

	meant string // the key that was probably meant, or ""
}

// Error returns "FILE:LINE: KEY: TEXT".
func (f Fault) Error() string {
	var b strings.Builder
	if f.Source != "" {
		return f.Source + ": " + f.Text
	}
	if f.File != "" {
		fmt.Fprintf(&b, "%s:%d: ", f.File, f.Line)
	}
	if f.Key != "" {
		b.WriteString(f.Key + ": ")
	}
	b.WriteString(f.Text)
	return b.String()
}

// Faults is a list of faults, ordered by line.
type Faults []Fault

// Error returns one line per fault.
func (all Faults) Error() string {
	lines := make([]string, len(all))
	for i, f := range all {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// err returns nil if there are no faults.
func (all Faults) err() error {
	if len(all) == 0 {
		return nil
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	return slices.CompactFunc(all, func(a, b Fault) bool { return a == b })
}

// concernKey reports whether a fault concerns key, a key that contains it, or a
// key within it.
func (all Faults) concernKey(key string) bool {
	return slices.ContainsFunc(all, func(f Fault) bool {
		return isWithin(key, f.Key) || isWithin(f.Key, key) || f.meant != "" && isWithin(key, f.meant)
	})
}

// isWithin reports whether key is holder or is contained in it.
func isWithin(key, holder string) bool {
	rest, ok := strings.CutPrefix(key, holder)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
