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

// The maximum sizes of files, in bytes.
const (
	maxSecret       = 64 << 10
	maxCertificates = 4 << 20
)

// readBounded reads a file of at most maxBytes bytes.
func readBounded(name string, maxBytes int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err == nil && int64(len(text)) > maxBytes {
		err = fmt.Errorf("%s is longer than %d bytes", name, maxBytes)
	}
	return text, err
}

// An input is standard input: a secret in its first line, if needed, and then
// messages.
type input struct {
	file  *os.File
	in    *bufio.Reader
	lines chan wsclient.Line
}

func newInput(f *os.File) *input {
	return &input{file: f, in: bufio.NewReaderSize(f, maxSecret), lines: make(chan wsclient.Line)}
}

// firstLine returns the first line.
func (i *input) firstLine() (string, error) {
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

// ask reads a line from the terminal without echo.
func (i *input) ask(ctx context.Context, prompt string) (string, error) {
	line, err := readHidden(ctx, i.file, func() (string, error) {
		fmt.Fprint(os.Stderr, prompt)
		defer fmt.Fprintln(os.Stderr)
		return i.firstLine()
	})
	if errors.Is(err, errNoTerminal) {
		return "", fmt.Errorf("no terminal to ask for the password: use --password-file or %s", passwordEnv)
	}
	return line, err
}

// read sends the lines to i.lines until the end of the input. The end of input
// from a terminal means that the user is done.
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

// tls returns the TLS configuration that the flags describe.
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
