// Package asynclog is a slog.Handler that never blocks its callers.
//
// A log is often a pipe, and a pipe whose reader has stopped blocks whoever
// writes to it. Here a goroutine writes. What waits for it is bounded: lines
// that find no room are dropped and counted, and the log says how many were
// lost as soon as it can be written again.
//
// Lines belong to classes with a quota each, so that a flood of one class
// cannot push out another. Refusals, which anybody on the network can cause,
// are also limited by the second.
package asynclog

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A Class is a kind of lines.
type Class uint8

// The classes.
const (
	Ordinary Class = iota
	Refusal        // what a client was refused
	Audit          // who logged in or out, and what operators did
	classes
)

// String returns the class as metrics and the log name it.
func (c Class) String() string { return [...]string{"ordinary", "refusal", "audit"}[c%classes] }

// defaultQuota is how many bytes of each class may wait.
const defaultQuota = 1 << 20

// Config describes a Handler. Writer and Format are required.
type Config struct {
	Writer io.Writer

	// Format makes the handler that formats lines, such as
	// slog.NewJSONHandler. It must write each line by one call.
	Format func(io.Writer) slog.Handler

	// Classify returns the class of a line. Nil: all are Ordinary.
	Classify func(slog.Record) Class

	// RefusalsPerSecond is how many lines of refusals are written in a second.
	// The rest are counted, and one line says how many they were. 0: no limit.
	RefusalsPerSecond int

	// Quota is how many bytes of each class may wait to be written. Default:
	// 1 MiB.
	Quota int
}

// A Handler is a slog.Handler that queues lines. It is safe for concurrent
// use.
type Handler struct {
	queue    *queue
	refusals *refusals
	classify func(slog.Record) Class
	by       [classes]slog.Handler // the same attributes and groups, for each class
	own      slog.Handler          // of the lines about the log itself
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
		h.by[class] = c.Format(&entry{queue: h.queue, class: Class(class)})
	}
	h.own = c.Format(&entry{queue: h.queue, class: Audit, own: true})
	h.queue.lost = h.tellLost
	h.refusals = &refusals{most: c.RefusalsPerSecond, tell: h.tellRefusals}
	go h.queue.run()
	return h
}

// Enabled reports whether lines of a level are logged.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.by[Ordinary].Enabled(ctx, level)
}

// Handle queues a line. It does not block, and does not fail: what finds no
// room is counted.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	class := h.classify(r)
	if class == Refusal && !h.refusals.take(time.Now()) {
		return nil
	}
	return h.by[class].Handle(ctx, r)
}

// WithAttrs returns a Handler that adds attributes to each line.
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

// Dropped returns how many lines of a class found no room since New.
func (h *Handler) Dropped(c Class) uint64 { return h.queue.dropped[c].Load() }

// Suppressed returns how many refusals were over the limit since New.
func (h *Handler) Suppressed() uint64 { return h.refusals.total.Load() }

// Close waits until all lines are written, at most for as long as within, and
// stops the Handler. It reports whether they were. Lines that come later are
// dropped.
func (h *Handler) Close(within time.Duration) bool {
	h.refusals.close()
	return h.queue.close(within)
}

// tellLost logs how many lines of each class were dropped.
func (h *Handler) tellLost(lost [classes]uint64) {
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines were dropped, since nobody read the log", 0)
	for class, n := range lost {
		r.AddAttrs(slog.Uint64(Class(class).String(), n))
	}
	_ = h.own.Handle(context.Background(), r)
}

// tellRefusals logs how many refusals had no line of their own.
func (h *Handler) tellRefusals(n uint64) {
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "refusals were not logged one by one", 0)
	r.AddAttrs(slog.Uint64("refusals", n), slog.Int("limit_per_second", h.refusals.most))
	_ = h.own.Handle(context.Background(), r)
}

// refusals limits the lines of a second.
type refusals struct {
	most  int // 0: no limit
	tell  func(n uint64)
	total atomic.Uint64 // suppressed since New

	telling sync.Mutex // held by flush, so that close waits for one under way

	mu         sync.Mutex
	begun      time.Time // of the current second
	taken      int       // lines in it
	suppressed uint64    // since the last line that told of them
	timer      *time.Timer
	closed     bool
}

// take reports whether a refusal gets a line now.
func (r *refusals) take(now time.Time) bool {
	if r.most <= 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.begun) >= time.Second {
		r.begun, r.taken = now, 0
	}
	if r.taken < r.most {
		r.taken++
		return true
	}
	r.total.Add(1)
	if r.suppressed++; r.suppressed == 1 && !r.closed {
		r.timer = time.AfterFunc(time.Second, r.flush)
	}
	return false
}

// flush tells how many were suppressed.
func (r *refusals) flush() {
	r.telling.Lock()
	defer r.telling.Unlock()
	r.mu.Lock()
	n := r.suppressed
	r.suppressed = 0
	r.mu.Unlock()
	if n > 0 {
		r.tell(n)
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
