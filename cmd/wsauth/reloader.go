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

// waits is added to what waits for confirmation.
const waits = "the old state stays in force until this is confirmed: wsauth reload --confirm"

// A part is what a running server reads anew from files of its own: its
// configuration, its users, its certificate, the token of the operators.
type part struct {
	name     string // as messages name it
	file     string
	watchers []*config.Watcher

	// inPlace says that a file that was written where it is counts, too.
	inPlace bool

	// reload reads the files and takes what they say, or leaves everything as
	// it was. It logs what it does, and returns the same for an operator.
	reload func(context.Context, reloading) gateway.AdminReloaded

	// settle finishes what the last reload could not, and reports whether it
	// has to be called again. It may be nil.
	settle func(context.Context) (again bool)

	told bool // that a change in place waits
}

// A reloading says why files are read anew.
type reloading struct {
	asked     bool // by SIGHUP or by an operator, and not by a change of a file
	confirmed bool
}

// A reloader reads the parts of a server anew, one at a time: when their files
// are replaced, at SIGHUP, and when an operator asks.
type reloader struct {
	log     *slog.Logger
	hangups chan os.Signal
	parts   []*part
	orders  chan reloadOrder
	ended   chan struct{} // closed when nothing is read anew any more
}

// A reloadOrder is an operator's.
type reloadOrder struct {
	confirm bool
	answer  chan<- gateway.AdminReloaded // has room for one
}

// errStopping means that the server does not read its files any more.
var errStopping = errors.New("the server is about to stop")

// newReloader takes SIGHUP from now on, and answers it when follow is called.
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

// follow begins to read files anew, until ctx is done or stop is called, which
// returns when that has ended.
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

// changed takes a file that was replaced, and tells of one that was changed
// where it is: once, until that is read.
func (r *reloader) changed(ctx context.Context, c fileChange) {
	if c.how == config.Replaced || c.part.inPlace {
		r.reload(ctx, reloading{}, c.part)
		return
	}
	if !c.part.told {
		c.part.told = true
		r.log.Warn("a file was changed in place, and may not be whole: it counts after SIGHUP or wsauth reload; rename a new file onto it to have it count by itself",
			"what", c.part.name, "file", c.part.file)
	}
}

// reload reads some parts anew.
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

// ask is [gateway.AdminConfig.Reload].
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
