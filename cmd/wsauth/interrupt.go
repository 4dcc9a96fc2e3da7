package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// interruptGrace bounds how long a command goes on after a signal, unless it
// stops by itself. It suffices to show a terminal's input again.
const interruptGrace = 200 * time.Millisecond

// An interruption is SIGINT, SIGTERM or SIGHUP, which ends a command. One that
// waits for a terminal or a pipe cannot be woken, so the process ends
// without it, unless the command stops by itself.
type interruption struct {
	signals     chan os.Signal // that end the command
	hangups     chan os.Signal // which do, unless it reloads; apart, so that they crowd no other out
	stopsItself atomic.Bool
	reloads     atomic.Bool
}

type interruptionKey struct{}

// stopsItself says that the command that runs in ctx ends in its own time when
// ctx is done. Commands that serve or write files call it.
func stopsItself(ctx context.Context) {
	if i, ok := ctx.Value(interruptionKey{}).(*interruption); ok {
		i.stopsItself.Store(true)
	}
}

// reloadsAtHangup says that the command that runs in ctx takes SIGHUP for an
// order to read its files anew.
func reloadsAtHangup(ctx context.Context) {
	if i, ok := ctx.Value(interruptionKey{}).(*interruption); ok {
		i.reloads.Store(true)
	}
}

// endsAt has the command that runs in ctx end at another signal as well.
func endsAt(ctx context.Context, another os.Signal) {
	if i, ok := ctx.Value(interruptionKey{}).(*interruption); ok && ctx.Err() == nil {
		signal.Notify(i.signals, another)
	}
}

// runUntilSignal runs a command with a context that ends at the first signal,
// and returns the exit status of a command that the signal has ended, or 0 and
// the error of any other. A second signal ends the process at once.
func runUntilSignal(run func(context.Context) error) (status int, err error) {
	i := &interruption{signals: make(chan os.Signal, 1), hangups: make(chan os.Signal, 1)}
	ctx, stop := context.WithCancel(context.WithValue(context.Background(), interruptionKey{}, i))
	defer stop()
	signal.Notify(i.signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		signal.Notify(i.hangups, syscall.SIGHUP)
	}
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	var received os.Signal
	for received == nil {
		select {
		case err := <-done:
			return 0, err
		case received = <-i.signals:
		case hangup := <-i.hangups:
			if !i.reloads.Load() {
				received = hangup
			}
		}
	}
	signal.Stop(i.signals) // before anything stops
	signal.Stop(i.hangups)
	stop()
	err, ended := i.wait(done)
	if ended && !errors.Is(err, context.Canceled) {
		return 0, err
	}
	if number, ok := received.(syscall.Signal); ok {
		return 128 + int(number), nil // as a shell has it of a process that the signal ended
	}
	return 1, nil
}

// wait waits until the command has ended, for as long as it may go on.
func (i *interruption) wait(done <-chan error) (err error, ended bool) { //nolint:revive // the error is the value
	select {
	case err := <-done:
		return err, true
	case <-time.After(interruptGrace):
	}
	if !i.stopsItself.Load() {
		return nil, false
	}
	return <-done, true
}

// await returns what f returns, or the error of ctx where that ends first. f
// then goes on: a read of a pipe does not end with ctx.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	results := make(chan result, 1)
	go func() {
		value, err := f()
		results <- result{value, err}
	}()
	select {
	case r := <-results:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// tellInterrupted says why a command printed nothing. On a terminal ^C stands
// in the line already.
func tellInterrupted(to io.Writer) {
	if isTerminal(os.Stderr) {
		fmt.Fprintln(to)
	}
	fmt.Fprintln(to, "wsauth: interrupted")
}
