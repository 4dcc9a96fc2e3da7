package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"wsauth/gateway"
	"wsauth/internal/config"
)

// waits is appended to messages about unconfirmed changes.
const waits = "the old state stays in force until you confirm the change with: wsauth reload --confirm"

// A part is something that a running server reads from files of its own and
// can read again: its configuration, its users, its certificate, the
// operators' token.
type part struct {
	name     string // in messages
	file     string
	watchers []*config.Watcher

	// inPlace makes files that were changed in place apply automatically, too.
	inPlace bool

	// reload reads the files and applies them, or leaves everything as it was.
	// It logs what it does, and returns the same for an operator.
	reload func(context.Context, reloading) gateway.AdminReloaded

	// settle completes what the last reload could not complete, and reports
	// whether it must be called again. It may be nil.
	settle func(context.Context) (again bool)

	told bool // a pending change in place has been logged
}

// A reloading is the reason why files are read again.
type reloading struct {
	asked     bool // by SIGHUP or an operator, not by a change of a file
	confirmed bool
}

// A reloader reads the parts of a server again, one at a time: when their
// files are replaced, at SIGHUP, and when an operator requests it.
type reloader struct {
	log     *slog.Logger
	hangups chan os.Signal
	parts   []*part
	orders  chan reloadOrder
	ended   chan struct{} // closed when the reloader has stopped
}

// A reloadOrder is the request of an operator.
type reloadOrder struct {
	confirm bool
	answer  chan<- gateway.AdminReloaded // buffered
}

// errStopping means that the server no longer reads its files.
var errStopping = errors.New("the server is about to stop")

// newReloader captures SIGHUP from now on, and handles it after follow has
// been called.
func newReloader(ctx context.Context, log *slog.Logger) *reloader {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	reloadsAtHangup(ctx)
	return &reloader{log: log, hangups: hangups, orders: make(chan reloadOrder), ended: make(chan struct{})}
}

// add adds a part. It must not be called after follow.
func (r *reloader) add(p *part) { r.parts = append(r.parts, p) }

// A fileChange is a change of a file of a part.
type fileChange struct {
	part *part
	how  config.Change
}

// follow starts the reloader. It runs until ctx is done or stop is called;
// stop waits until it has ended.
func (r *reloader) follow(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	changes := make(chan fileChange)
	var running sync.WaitGroup
	for _, p := range r.parts {
		for _, w := range p.watchers {
			running.Go(func() {
				w.Run(ctx, func(how config.Change) {
					select {
					case changes <- fileChange{p, how}:
					case <-ctx.Done():
					}
				})
			})
		}
	}
	running.Go(func() {
		defer close(r.ended)
		r.run(ctx, changes)
	})
	return func() {
		signal.Stop(r.hangups)
		cancel()
		running.Wait()
	}
}

func (r *reloader) run(ctx context.Context, changes <-chan fileChange) {
	var again <-chan time.Time
	for {
		select {
		case <-r.hangups:
			r.reload(ctx, reloading{asked: true}, r.parts...)
		case o := <-r.orders:
			o.answer <- r.reload(ctx, reloading{asked: true, confirmed: o.confirm}, r.parts...)
		case c := <-changes:
			r.changed(ctx, c)
		case <-again:
		case <-ctx.Done():
			return
		}
		again = nil
		for _, p := range r.parts {
			if p.settle != nil && p.settle(ctx) {
				again = time.After(retryAfter)
			}
		}
	}
}

// changed applies a file that was replaced. If a file was changed in place, it
// logs a warning, once until the file is read.
func (r *reloader) changed(ctx context.Context, c fileChange) {
	if c.how == config.Replaced || c.part.inPlace {
		r.reload(ctx, reloading{}, c.part)
		return
	}
	if !c.part.told {
		c.part.told = true
		r.log.Warn("a file was changed in place and may be incomplete: it is read at SIGHUP or wsauth reload; a file that is replaced by renaming is read automatically",
			"what", c.part.name, "file", c.part.file)
	}
}

// reload reads some parts again.
func (r *reloader) reload(ctx context.Context, how reloading, parts ...*part) gateway.AdminReloaded {
	defer tellReloading(r.log)()
	var all gateway.AdminReloaded
	for _, p := range parts {
		p.told = false
		one := p.reload(ctx, how)
		all.Changed = append(all.Changed, one.Changed...)
		all.Warnings = append(all.Warnings, one.Warnings...)
		all.Faults = append(all.Faults, one.Faults...)
		all.Unconfirmed = append(all.Unconfirmed, one.Unconfirmed...)
	}
	return all
}

// ask implements [gateway.AdminConfig.Reload].
func (r *reloader) ask(ctx context.Context, order gateway.AdminReload) (gateway.AdminReloaded, error) {
	answer := make(chan gateway.AdminReloaded, 1)
	select {
	case r.orders <- reloadOrder{order.Confirm, answer}:
	case <-r.ended:
		return gateway.AdminReloaded{}, errStopping
	case <-ctx.Done():
		return gateway.AdminReloaded{}, fmt.Errorf("another reload takes too long: %w", ctx.Err())
	}
	select {
	case done := <-answer:
		return done, nil
	case <-r.ended:
		return gateway.AdminReloaded{}, errStopping
	}
}
