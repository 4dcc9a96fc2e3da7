package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"wsauth/internal/wsclient"
)

// How long the files may be, in bytes.
const (
	maxSecret       = 64 << 10
	maxCertificates = 4 << 20
)

// readBounded reads a file of so many bytes at most.
func readBounded(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s is longer than %d bytes", name, most)
	}
	return text, err
}

// An input is standard input: the secret in its first line where there is one, and then messages.
type input struct {
	file  *os.File
	in    *bufio.Reader
	lines chan wsclient.Line
}

func newInput(f *os.File) *input {
	return &input{file: f, in: bufio.NewReaderSize(f, maxSecret), lines: make(chan wsclient.Line)}
}

// first is the first line.
func (i *input) first() (string, error) {
	line, err := i.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", fmt.Errorf("the first line of standard input is longer than %d bytes", maxSecret)
	case err != nil && !errors.Is(err, io.EOF):
		return "", fmt.Errorf("read standard input: %w", err)
	case len(line) == 0:
		return "", errors.New("standard input is empty")
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// ask reads a line from the terminal that does not show it.
func (i *input) ask(ctx context.Context, prompt string) (string, error) {
	line, err := unseen(ctx, i.file, func() (string, error) {
		fmt.Fprint(os.Stderr, prompt)
		defer fmt.Fprintln(os.Stderr)
		return i.first()
	})
	if errors.Is(err, errNoTerminal) {
		return "", fmt.Errorf("there is no terminal to ask for the password: give --password-file or %s", passwordEnv)
	}
	return line, err
}

// read hands the lines out, up to the end of a file, or that of what a person types, who is then done.
func (i *input) read(longest int64) {
	lines := bufio.NewScanner(i.in)
	lines.Buffer(nil, int(min(longest, 1<<30)))
	for lines.Scan() {
		i.lines <- wsclient.Line{Text: lines.Text()}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		i.lines <- wsclient.Line{Err: fmt.Errorf("a line of standard input is longer than --max-message=%d bytes", longest)}
	case err != nil:
		i.lines <- wsclient.Line{Err: fmt.Errorf("read standard input: %w", err)}
	case isTerminal(i.file):
		i.lines <- wsclient.Line{Done: true}
	}
}

// tls is what the flags say of the server's certificate.
func (c *connectCmd) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.InsecureSkipVerify} //nolint:gosec // asked for by name
	if c.CA == "" {
		return config, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pem, err := readBounded(c.CA, maxCertificates)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca=%s: there is no certificate in PEM", c.CA)
	}
	config.RootCAs = pool
	return config, nil
}
