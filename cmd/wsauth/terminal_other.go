//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd

package main

import (
	"errors"
	"os"
)

// errNoTerminal means that the input is not a terminal.
var errNoTerminal = errors.New("no terminal")

// hideInput returns errNoTerminal, because this system is not supported. The
// password is then read as a line of standard input, and the terminal shows it.
func hideInput(*os.File) (restore func() error, err error) { return nil, errNoTerminal }

// isTerminal reports whether f may be a terminal.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
