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

// interruptGrace is how long a command may continue after a signal, unless it
// called stopsItself. This is sufficient to restore the terminal.
const interruptGrace = 200 * time.Millisecond

// An interruption handles SIGINT, SIGTERM and SIGHUP, which end a command. A
// command that waits for a terminal or a pipe cannot be woken, so the process
// ends without waiting for it, unless the command called stopsItself.
type interruption struct {
	signals chan os.Signal // signals that end the command
	// SIGHUP ends the command unless it reloads. It has a channel of its own,
	// so that it does not displace another signal.
	hangups     chan os.Signal
	stopsItself atomic.Bool
	reloads     atomic.Bool
}

type interruptionKey struct{}

// stopsItself declares that the command that runs in ctx stops on its own after
// ctx is done. Commands that serve or write files call it.
func stopsItself(ctx context.Context) {
	if i, ok := ctx.Value(interruptionKey{}).(*interruption); ok {
		i.stopsItself.Store(true)
	}
}

// hangups returns a channel that receives SIGHUP, which no longer ends the
// command that runs in ctx.
func hangups(ctx context.Context) <-chan os.Signal {
	received := make(chan os.Signal, 1)
	signal.Notify(received, syscall.SIGHUP)
	if i, ok := ctx.Value(interruptionKey{}).(*interruption); ok {
		i.reloads.Store(true)
	}
	return received
}

// endsAt makes an additional signal end the command that runs in ctx.
func endsAt(ctx context.Context, another os.Signal) {
	if i, ok := ctx.Value(interruptionKey{}).(*interruption); ok && ctx.Err() == nil {
		signal.Notify(i.signals, another)
	}
}

// runUntilSignal runs a command with a context that is canceled at the first
// signal. If a signal has ended the command, it returns the exit status.
// Otherwise it returns 0 and the error of the command. A second signal ends the
// process immediately.
func runUntilSignal(run func(context.Context) error) (status int, err error) {
	i := &interruption{signals: make(chan os.Signal, 1), hangups: make(chan os.Signal, 1)}
	ctx, stop := context.WithCancel(context.WithValue(context.Background(), interruptionKey{}, i))
	defer stop()
	signal.Notify(i.signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // it is ignored under nohup
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
	signal.Stop(i.signals) // so that a second signal ends the process
	signal.Stop(i.hangups)
	stop()
	err, ended := i.wait(done)
	if ended && !errors.Is(err, context.Canceled) {
		return 0, err
	}
	if number, ok := received.(syscall.Signal); ok {
		// The status that shells report for a process ended by a signal.
		return 128 + int(number), nil
	}
	return 1, nil
}

// wait waits for the command to end, at most interruptGrace.
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

// printInterrupted explains why a command printed nothing. On a terminal, it
// first ends the line that contains ^C.
func printInterrupted(to io.Writer) {
	if isTerminal(os.Stderr) {
		fmt.Fprintln(to)
	}
	fmt.Fprintln(to, "wsauth: interrupted")
}
