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

	"wsauth/internal/await"
)

// Limits for the length of a new password. The server refuses longer passwords.
const (
	minPassword = 8    // characters
	maxPassword = 1024 // bytes
)

// askPassword reads a new password from standard input: twice, without echo,
// from a terminal, and a single line otherwise.
func askPassword(ctx context.Context) (string, error) {
	p, err := readHidden(ctx, os.Stdin, func() (string, error) { return askTwice(bufio.NewReader(os.Stdin), os.Stderr) })
	if errors.Is(err, errNoTerminal) {
		return checkPassword(await.Do(ctx, func() (string, error) { return readLine(bufio.NewReader(os.Stdin)) }))
	}
	return p, err
}

// readHidden calls read with the echo of the terminal f switched off, and
// switches it on again however the command ends: Ctrl-\ ends it like Ctrl-C,
// and Ctrl-Z has no effect. If f is not a terminal, it returns errNoTerminal.
func readHidden(ctx context.Context, f *os.File, read func() (string, error)) (string, error) {
	restore, err := hideInput(f)
	if err != nil {
		return "", err
	}
	endsAt(ctx, syscall.SIGQUIT)
	text, err := await.Do(ctx, read)
	return text, errors.Join(err, restore())
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
	second, err := ask("Repeat password: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords differ")
	}
	return first, nil
}

// readLine reads a line without its line break, which may be missing at the
// end of the input.
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
		return "", fmt.Errorf("the password is empty: it needs at least %d characters", minPassword)
	case !utf8.ValidString(p):
		return "", errors.New("the password is not UTF-8")
	case utf8.RuneCountInString(p) < minPassword:
		return "", fmt.Errorf("the password is shorter than %d characters", minPassword)
	case len(p) > maxPassword:
		return "", fmt.Errorf("the password is longer than %d bytes", maxPassword)
	}
	return p, nil
}
