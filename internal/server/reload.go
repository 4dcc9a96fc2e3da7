package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"wsauth/internal/adminapi"
	"wsauth/internal/config"
)

// needsConfirmation is appended to messages about unconfirmed changes.
const needsConfirmation = "the old state stays in force until you confirm the change with: wsauth reload --confirm"

// finishDelay is the time between two calls of part.finish.
const finishDelay = time.Second

// A part is something that a running server reads from files and can read
// again: its configuration, its users, its certificate or the operators'
// token.
type part struct {
	name     string // in messages
	file     string
	watchers []*config.Watcher

	// inPlace means that files that were changed in place are also applied
	// automatically.
	inPlace bool

	// reload reads the files and applies them, or changes nothing. It logs
	// what it does, and returns the same for an operator.
	reload func(context.Context, reloadRequest) adminapi.Reloaded

	// finish completes what the last reload could not complete, and reports
	// whether it must be called again. It may be nil.
	finish func(context.Context) (again bool)

	warned bool // a change in place was logged and has not been read
}

// A reloadRequest describes why files are read again.
type reloadRequest struct {
	explicit  bool // by SIGHUP or an operator, not because a file changed
	confirmed bool
}

// A reloader reads the parts of a server again, one at a time: when their
// files are replaced, at SIGHUP, and when an operator asks for it.
type reloader struct {
	log    *slog.Logger
	parts  []*part
	orders chan reloadOrder
	ended  chan struct{} // closed when the reloader has stopped
}

// A reloadOrder is a request of an operator.
type reloadOrder struct {
	confirm bool
	answer  chan<- adminapi.Reloaded // buffered
}

// A fileChange is a change of a file of a part.
type fileChange struct {
	part   *part
	change config.Change
}

// errStopping means that the server no longer reads its files.
var errStopping = errors.New("the server is about to stop")

func newReloader(log *slog.Logger) *reloader {
	return &reloader{log: log, orders: make(chan reloadOrder), ended: make(chan struct{})}
}

// add adds a part. It must not be called after run.
func (r *reloader) add(p *part) { r.parts = append(r.parts, p) }

// run starts the reloader. It reads all parts again whenever it receives from
// hangups. It runs until ctx is done or stop is called; stop waits until it
// has ended.
func (r *reloader) run(ctx context.Context, hangups <-chan os.Signal) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	changes := make(chan fileChange)
	var running sync.WaitGroup
	for _, p := range r.parts {
		for _, w := range p.watchers {
			running.Go(func() {
				w.Run(ctx, func(change config.Change) {
					select {
					case changes <- fileChange{p, change}:
					case <-ctx.Done():
					}
				})
			})
		}
	}
	running.Go(func() {
		defer close(r.ended)
		r.loop(ctx, hangups, changes)
	})
	return func() {
		cancel()
		running.Wait()
	}
}

func (r *reloader) loop(ctx context.Context, hangups <-chan os.Signal, changes <-chan fileChange) {
	var again <-chan time.Time
	for {
		select {
		case <-hangups:
			r.reload(ctx, reloadRequest{explicit: true}, r.parts...)
		case o := <-r.orders:
			o.answer <- r.reload(ctx, reloadRequest{explicit: true, confirmed: o.confirm}, r.parts...)
		case c := <-changes:
			r.changed(ctx, c)
		case <-again:
		case <-ctx.Done():
			return
		}
		again = nil
		for _, p := range r.parts {
			if p.finish != nil && p.finish(ctx) {
				again = time.After(finishDelay)
			}
		}
	}
}

// changed applies a file that was replaced. If a file was changed in place, it
// logs a warning, once until the file is read.
func (r *reloader) changed(ctx context.Context, c fileChange) {
	if c.change == config.Replaced || c.part.inPlace {
		r.reload(ctx, reloadRequest{}, c.part)
		return
	}
	if !c.part.warned {
		c.part.warned = true
		r.log.Warn("a file was changed in place and may be incomplete: it is read at SIGHUP or wsauth reload; a file that is replaced by renaming is read automatically",
			"what", c.part.name, "file", c.part.file)
	}
}

// reload reads some parts again.
func (r *reloader) reload(ctx context.Context, request reloadRequest, parts ...*part) adminapi.Reloaded {
	defer notifyReloading(r.log)()
	var all adminapi.Reloaded
	for _, p := range parts {
		p.warned = false
		one := p.reload(ctx, request)
		all.Changed = append(all.Changed, one.Changed...)
		all.Warnings = append(all.Warnings, one.Warnings...)
		all.Errors = append(all.Errors, one.Errors...)
		all.Unconfirmed = append(all.Unconfirmed, one.Unconfirmed...)
	}
	return all
}

// order reads all parts again for an operator. It implements
// [admin.Config.Reload].
func (r *reloader) order(ctx context.Context, order adminapi.Reload) (adminapi.Reloaded, error) {
	answer := make(chan adminapi.Reloaded, 1)
	select {
	case r.orders <- reloadOrder{order.Confirm, answer}:
	case <-r.ended:
		return adminapi.Reloaded{}, errStopping
	case <-ctx.Done():
		return adminapi.Reloaded{}, fmt.Errorf("another reload takes too long: %w", ctx.Err())
	}
	select {
	case done := <-answer:
		return done, nil
	case <-r.ended:
		return adminapi.Reloaded{}, errStopping
	}
}
