package wstest

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Log collects what servers write while tests read it.
type Log struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // closed at the next write; nil if no test waits
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
	return l.text.Write(p)
}

// String returns everything that was written and not taken.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Take returns what String does, and empties the log.
func (l *Log) Take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

// WaitFor waits until the log contains text. Servers often log an event after
// their clients have seen it.
func (l *Log) WaitFor(t testing.TB, text string) {
	t.Helper()
	l.Wait(t, text, func(log string) bool { return strings.Contains(log, text) })
}

// Wait waits until done accepts the log. want describes what the test waits
// for.
func (l *Log) Wait(t testing.TB, want string, done func(log string) bool) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		l.mu.Lock()
		if l.grown == nil {
			l.grown = make(chan struct{})
		}
		text, grown := l.text.String(), l.grown
		l.mu.Unlock()
		if done(text) {
			return
		}
		select {
		case <-grown:
		case <-timeout:
			t.Fatalf("the log does not have %s:\n%s", want, text)
		}
	}
}
