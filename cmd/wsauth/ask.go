package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"unicode/utf8"
)

// The lengths of a password: what a person chooses is not shorter, and the server takes no longer one.
const (
	minPassword = 8    // characters
	maxPassword = 1024 // bytes
)

// askPassword reads a password from standard input: twice and unseen from a terminal, and one line otherwise.
func askPassword(ctx context.Context) (string, error) {
	p, err := unseen(ctx, os.Stdin, func() (string, error) { return askTwice(bufio.NewReader(os.Stdin), os.Stderr) })
	if errors.Is(err, errNoTerminal) {
		return checkPassword(await(ctx, func() (string, error) { return readLine(bufio.NewReader(os.Stdin)) }))
	}
	return p, err
}

// unseen returns what read reads from the terminal f, which does not show it
// meanwhile, and shows it again however the command ends: Ctrl-\ ends it like
// Ctrl-C, and Ctrl-Z does nothing. It fails with errNoTerminal for another
// file.
func unseen(ctx context.Context, f *os.File, read func() (string, error)) (string, error) {
	show, err := hideInput(f)
	if err != nil {
		return "", err
	}
	endsAt(ctx, syscall.SIGQUIT)
	text, err := await(ctx, read)
	return text, errors.Join(err, show())
}

func askTwice(in *bufio.Reader, out io.Writer) (string, error) {
	ask := func(prompt string) (string, error) {
		fmt.Fprint(out, prompt)
		defer fmt.Fprintln(out)
		return readLine(in)
	}
	first, err := checkPassword(ask("Password: "))
	if err != nil {
		return "", err
	}
	second, err := ask("The same again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords differ")
	}
	return first, nil
}

// readLine reads a line without its end, which may be missing from the last.
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func checkPassword(p string, err error) (string, error) {
	switch {
	case err != nil:
		return "", fmt.Errorf("read the password: %w", err)
	case p == "":
		return "", fmt.Errorf("there is no password: it needs %d characters", minPassword)
	case !utf8.ValidString(p):
		return "", errors.New("the password is not UTF-8, and nobody could send it")
	case utf8.RuneCountInString(p) < minPassword:
		return "", fmt.Errorf("the password is shorter than %d characters", minPassword)
	case len(p) > maxPassword:
		return "", fmt.Errorf("the password is longer than %d bytes", maxPassword)
	}
	return p, nil
}
