package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Fault is something wrong with a file, or with what was said over it.
type Fault struct {
	File   string // "" where there is none
	Line   int    // counted from 1
	Key    string // with the way to it, such as "routes[0].limits.ping"; "" where it is about the whole file
	Source string // where the value is from, if not from the file: "--addr"
	Text   string // what is wrong, and what to do

	about string // the key that is likely meant, where it is not Key
}

// Error is "FILE:LINE: KEY: TEXT".
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

// Faults are all that is wrong, in the order of the lines.
type Faults []Fault

// Error has a line for each fault.
func (all Faults) Error() string {
	lines := make([]string, len(all))
	for i, f := range all {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// err is nil where there are none.
func (all Faults) err() error {
	if len(all) == 0 {
		return nil
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	return slices.CompactFunc(all, func(a, b Fault) bool { return a == b })
}

// touch reports whether a fault is about key, about what holds it, or about what it holds.
func (all Faults) touch(key string) bool {
	return slices.ContainsFunc(all, func(f Fault) bool {
		return within(key, f.Key) || within(f.Key, key) || f.about != "" && within(key, f.about)
	})
}

// within reports whether the key is holder, or a key that it holds.
func within(key, holder string) bool {
	rest, ok := strings.CutPrefix(key, holder)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
