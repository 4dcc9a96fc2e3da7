//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd

package main

import (
	"errors"
	"os"
)

// errNoTerminal means an input that nobody types into.
var errNoTerminal = errors.New("no terminal")

// hideInput cannot: the password is one line of standard input, which the terminal shows.
func hideInput(*os.File) (show func() error, err error) { return nil, errNoTerminal }

// isTerminal reports whether a person may see or type what f carries.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
