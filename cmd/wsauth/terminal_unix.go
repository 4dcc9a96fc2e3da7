//go:build linux || darwin || freebsd || netbsd || openbsd

package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// errNoTerminal means that the input is not a terminal.
var errNoTerminal = errors.New("no terminal")

// hideInput switches off the echo of the terminal f until restore is called.
func hideInput(f *os.File) (restore func() error, err error) {
	fd := int(f.Fd())
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, errNoTerminal
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	hidden.Lflag |= unix.ICANON | unix.ISIG
	hidden.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, setTermios, &hidden); err != nil {
		return nil, fmt.Errorf("hide the password: %w", err)
	}
	// If Ctrl-Z returned to the shell, the shell would switch the echo on, and
	// would show what is typed here later.
	signal.Ignore(unix.SIGTSTP)
	return func() error {
		signal.Reset(unix.SIGTSTP)
		return unix.IoctlSetTermios(fd, setTermios, before)
	}, nil
}

// isTerminal reports whether f is a terminal.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), getTermios)
	return err == nil
}
