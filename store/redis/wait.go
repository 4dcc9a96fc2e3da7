package redis

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"wsauth/store"
)

// waitBlock is how long one command waits for a new entry of the log. It is
// also the maximum delay of changes that do not end the command, such as beats.
const waitBlock = 500 * time.Millisecond

// A watcher wakes the goroutines that wait for the log to grow. It uses one
// connection.
type watcher struct {
	start  sync.Once
	wanted chan struct{} // closed by the first call of Wait

	mu   sync.Mutex
	more chan struct{} // closed and replaced when the log may have grown
}

// changed returns a channel that is closed when the log may have grown.
func (w *watcher) changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.more
}

// wake wakes all waiting goroutines.
func (w *watcher) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.more)
	w.more = make(chan struct{})
}

// Wait implements [store.Revocations]. It also returns after a beat. It asks
// the engine at least twice a second, so it fails when the engine does, and a
// dead connection cannot keep it waiting.
func (s *Store) Wait(ctx context.Context, after store.Cursor) error {
	if !plausible(after) {
		return store.ErrCursor
	}
	s.watcher.start.Do(func() { close(s.watcher.wanted) })
	for {
		changed := s.watcher.changed()
		p, err := s.position(ctx)
		switch {
		case err != nil:
			return err
		case after != store.Cursor{} && (p.end.Epoch != after.Epoch || p.end.Sequence < after.Sequence):
			return store.ErrCursor
		case p.end.Sequence > after.Sequence:
			return nil
		}
		poll := time.NewTimer(waitBlock)
		select {
		case <-changed:
		case <-poll.C:
		case <-ctx.Done():
		case <-s.closing.Done():
		}
		poll.Stop()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// watch wakes the calls of Wait when the stream has a new entry. It works from
// the first call of Wait until the store is closed.
func (s *Store) watch() {
	select {
	case <-s.watcher.wanted:
	case <-s.closing.Done():
	}
	for s.closing.Err() == nil {
		p, err := s.position(s.closing)
		if err == nil {
			s.watcher.wake() // for what was written before
			err = s.block(p.end.Sequence)
		}
		if err == nil {
			s.watcher.wake()
			continue
		}
		pause := time.NewTimer(waitBlock)
		select {
		case <-pause.C:
		case <-s.closing.Done():
		}
		pause.Stop()
	}
}

// block waits for an entry after a sequence number, for at most waitBlock. If
// the connection is dead, the client closes it at the deadline.
func (s *Store) block(after uint64) error {
	ctx, cancel := context.WithTimeout(s.closing, waitBlock+s.config.Timeout)
	defer cancel()
	cmd := s.client.B().Xread().Count(1).Block(waitBlock.Milliseconds()).Streams().Key(s.keys.log()[1]).Id(strconv.FormatUint(after, 10) + "-0").Build()
	done := make(chan error, 1)
	go func() { done <- s.client.Do(ctx, cmd).Error() }()
	select {
	case err := <-done:
		if rueidis.IsRedisNil(err) {
			return nil
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
