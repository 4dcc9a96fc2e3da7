package redis

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	"wsauth/store"
	"wsauth/store/storekit"
)

var (
	revokeScript   = newScript(true, "log", "append")
	publishScript  = newScript(false, "log", "append")
	readScript     = newScript(true, "log", "read")
	positionScript = newScript(true, "log", "position")
)

// maxPageBytes is roughly the maximum size of a page.
const maxPageBytes = 1 << 20

// Revoke implements [store.Revocations].
func (s *Store) Revoke(ctx context.Context, revocations ...store.Revocation) error {
	return s.revoke(ctx, s.limits.Revocations, revocations)
}

// Overfill implements [store.Overfiller].
func (s *Store) Overfill(ctx context.Context, revocations ...store.Revocation) error {
	return s.revoke(ctx, -1, revocations)
}

// revoke adds revocations. A negative limit means no limit. The script drops
// the obsolete ones, by the engine's clock.
func (s *Store) revoke(ctx context.Context, limit int, revocations []store.Revocation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	prepared, err := storekit.Prepare(time.Time{}, revocations)
	if err != nil || len(prepared) == 0 {
		return err
	}
	entries := make([]string, 0, 2*len(prepared))
	for _, r := range prepared {
		entries = append(entries, "r", string(storekit.AppendRevocation(nil, r)))
	}
	return s.append(ctx, revokeScript, limit, entries)
}

// Publish implements [store.Log].
func (s *Store) Publish(ctx context.Context, events ...store.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	prepared, err := storekit.PrepareEvents(time.Time{}, events)
	if err != nil || len(prepared) == 0 {
		return err
	}
	entries := make([]string, 0, 2*len(prepared))
	for _, e := range prepared {
		entries = append(entries, "e", string(appendEvent(nil, e)))
	}
	return s.append(ctx, publishScript, s.limits.Revocations, entries)
}

// append adds encoded entries, and waits until replicas have confirmed them. A
// full log may contain entries that it has not swept yet; append then tries
// again, since each attempt sweeps some.
func (s *Store) append(ctx context.Context, sc *script, limit int, entries []string) error {
	args := append([]string{rand.Text(), strconv.Itoa(limit), strconv.Itoa(s.limits.Events), strconv.FormatInt(store.ClockSlack.Milliseconds(), 10)}, entries...)
	_, err := within(ctx, s, func(ctx context.Context) (struct{}, error) {
		for {
			n := s.required()
			answer, unconfirmed, err := s.evalConfirmable(ctx, n, sc, s.keys.log(), args...)
			switch {
			case err != nil:
				return struct{}{}, err
			case len(answer) != 3:
				return struct{}{}, errAnswer
			case answer[0] == "FULL" && answer[1] == "1":
				continue
			case answer[0] == "FULL":
				return struct{}{}, store.ErrFull
			}
			s.learn(answer[2])
			if n == 0 && s.required() > 0 { // the first replica has connected
				unconfirmed, err = s.confirm(ctx)
			}
			if err == nil && unconfirmed != nil {
				err = fmt.Errorf("%w: %w", store.ErrUnconfirmed, unconfirmed)
			}
			return struct{}{}, err
		}
	})
	return err
}

// Read implements [store.Revocations].
func (s *Store) Read(ctx context.Context, after store.Cursor) (store.Page, error) {
	if err := ctx.Err(); err != nil {
		return store.Page{}, err
	}
	if !plausible(after) {
		return store.Page{}, store.ErrCursor
	}
	answer, err := s.run(ctx, readScript, s.keys.log(), rand.Text(), strconv.FormatUint(after.Sequence, 10), after.Epoch, strconv.Itoa(store.MaxPage), strconv.Itoa(maxPageBytes))
	if err != nil {
		return store.Page{}, err
	}
	read, err := decodePage(answer, after)
	if err != nil {
		return store.Page{}, err
	}
	s.learn(read.followed)
	return read.page(s.required() > 0), nil
}

// plausible reports whether c may be a position in a log.
func plausible(c store.Cursor) bool {
	return c == store.Cursor{} || c.Epoch != "" && len(c.Epoch) <= 128 && c.Sequence < 1<<53
}

// A position describes the end of a log.
type position struct {
	now   time.Time
	end   store.Cursor
	count int // of revocations, without that of [store.TargetAll]
}

// position returns the current end of the log.
func (s *Store) position(ctx context.Context) (position, error) {
	answer, err := s.run(ctx, positionScript, s.keys.log(), rand.Text())
	if err != nil {
		return position{}, err
	}
	return decodePosition(answer)
}

// RevocationUsage implements [store.UsageReporter].
func (s *Store) RevocationUsage(ctx context.Context) (store.Usage, error) {
	p, err := s.position(ctx)
	if err != nil {
		return store.Usage{}, err
	}
	return store.Usage{Entries: p.count, Limit: s.limits.Revocations}, nil
}
