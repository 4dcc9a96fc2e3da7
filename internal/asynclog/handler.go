// Package asynclog provides a slog.Handler that never blocks its callers.
//
// A log is often a pipe, and writing to a pipe blocks if its reader has
// stopped. This handler writes in a goroutine of its own, from a bounded queue.
// Lines that do not fit are dropped and counted. Their number is logged as soon
// as the log can be written again.
//
// Each class of lines has a quota, so that a flood of one class cannot
// displace another. Refusals, which anybody on the network can cause, are also
// rate limited.
package asynclog

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A Class is a category of log lines.
type Class uint8

// The classes.
const (
	Ordinary Class = iota
	Refusal        // a refused request or connection
	Audit          // logins, logouts and actions of operators
	classes
)

// String returns the name of the class in metrics and in the log.
func (c Class) String() string { return [...]string{"ordinary", "refusal", "audit"}[c%classes] }

// defaultQuota is the default of Config.Quota.
const defaultQuota = 1 << 20

// Config configures a Handler. Writer and Format are required.
type Config struct {
	Writer io.Writer

	// Format returns the handler that formats lines, such as
	// slog.NewJSONHandler. It must write each line in a single call.
	Format func(io.Writer) slog.Handler

	// Classify returns the class of a line. Default: all lines are Ordinary.
	Classify func(slog.Record) Class

	// RefusalsPerSecond is the maximum number of refusals logged per second.
	// The others are counted, and one line reports their number. 0: no limit.
	RefusalsPerSecond int

	// Quota is the maximum number of bytes of each class in the queue.
	// Default: 1 MiB.
	Quota int
}

// A Handler is a slog.Handler that queues lines. It is safe for concurrent
// use.
type Handler struct {
	queue    *queue
	refusals *refusals
	classify func(slog.Record) Class
	// One for each class, with the same attributes and groups.
	by  [classes]slog.Handler
	own slog.Handler // for lines about the log itself
}

// New starts a Handler. Close stops it.
func New(c Config) *Handler {
	if c.Quota <= 0 {
		c.Quota = defaultQuota
	}
	if c.Classify == nil {
		c.Classify = func(slog.Record) Class { return Ordinary }
	}
	h := &Handler{queue: newQueue(c.Writer, c.Quota), classify: c.Classify}
	for class := range h.by {
		h.by[class] = c.Format(&lineWriter{queue: h.queue, class: Class(class)})
	}
	h.own = c.Format(&lineWriter{queue: h.queue, class: Audit, own: true})
	h.queue.reportLost = h.reportLost
	h.refusals = &refusals{perSecond: c.RefusalsPerSecond, report: h.reportRefusals}
	go h.queue.run()
	return h
}

// Enabled reports whether lines of the given level are logged.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.by[Ordinary].Enabled(ctx, level)
}

// Handle queues a line. It does not block and never returns an error; lines
// that do not fit are dropped and counted.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	class := h.classify(r)
	if class == Refusal && !h.refusals.take(time.Now()) {
		return nil
	}
	return h.by[class].Handle(ctx, r)
}

// WithAttrs returns a Handler that adds attrs to each line.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.derive(func(of slog.Handler) slog.Handler { return of.WithAttrs(attrs) })
}

// WithGroup returns a Handler that puts later attributes into a group.
func (h *Handler) WithGroup(name string) slog.Handler {
	return h.derive(func(of slog.Handler) slog.Handler { return of.WithGroup(name) })
}

func (h *Handler) derive(f func(slog.Handler) slog.Handler) *Handler {
	derived := *h
	for class := range h.by {
		derived.by[class] = f(h.by[class])
	}
	return &derived
}

// Dropped returns the number of lines of a class that did not fit since New.
func (h *Handler) Dropped(c Class) uint64 { return h.queue.dropped[c].Load() }

// Suppressed returns the number of refusals above the rate limit since New.
func (h *Handler) Suppressed() uint64 { return h.refusals.total.Load() }

// Close stops the Handler after all lines have been written, or after the
// given time. It reports whether all lines were written. Later lines are
// dropped.
func (h *Handler) Close(within time.Duration) bool {
	h.refusals.close()
	return h.queue.close(within)
}

// reportLost logs how many lines of each class were dropped.
func (h *Handler) reportLost(lost [classes]uint64) {
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines were dropped, because the log was not read fast enough", 0)
	for class, n := range lost {
		r.AddAttrs(slog.Uint64(Class(class).String(), n))
	}
	_ = h.own.Handle(context.Background(), r)
}

// reportRefusals logs how many refusals were suppressed.
func (h *Handler) reportRefusals(n uint64) {
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "refusals were not logged separately", 0)
	r.AddAttrs(slog.Uint64("refusals", n), slog.Int("limit_per_second", h.refusals.perSecond))
	_ = h.own.Handle(context.Background(), r)
}

// refusals limits the number of refusals logged per second.
type refusals struct {
	perSecond int // 0: no limit
	report    func(n uint64)
	total     atomic.Uint64 // suppressed since New

	reporting sync.Mutex // held by flush, so that close waits for it

	mu          sync.Mutex
	secondStart time.Time // beginning of the current second
	taken       int       // lines in the current second
	suppressed  uint64    // since the last line with their number
	timer       *time.Timer
	closed      bool
}

// take reports whether a refusal may be logged now.
func (r *refusals) take(now time.Time) bool {
	if r.perSecond <= 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.secondStart) >= time.Second {
		r.secondStart, r.taken = now, 0
	}
	if r.taken < r.perSecond {
		r.taken++
		return true
	}
	r.total.Add(1)
	if r.suppressed++; r.suppressed == 1 && !r.closed {
		r.timer = time.AfterFunc(time.Second, r.flush)
	}
	return false
}

// flush logs the number of suppressed refusals.
func (r *refusals) flush() {
	r.reporting.Lock()
	defer r.reporting.Unlock()
	r.mu.Lock()
	n := r.suppressed
	r.suppressed = 0
	r.mu.Unlock()
	if n > 0 {
		r.report(n)
	}
}

func (r *refusals) close() {
	r.mu.Lock()
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
	r.mu.Unlock()
	r.flush()
}
