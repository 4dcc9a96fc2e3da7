package redis

import (
	"context"
	"maps"
	"strconv"
	"sync"
	"time"
)

var usageScript = newScript(false, "usage")

// A usage estimates the number of items of a kind in the store, without a call
// for each item. It counts items by the period in which they expire. Each node
// stores its changes once a second. Items of a period that is over are no
// longer counted. With a single node, the estimate is exact until items expire.
type usage struct {
	key    []string
	limit  int
	period time.Duration

	mu      sync.Mutex
	stored  int           // the sum when it was last stored
	changed int           // the sum of the changes since
	changes map[int64]int // by period
}

func newUsage(key []string, limit int, period time.Duration) usage {
	return usage{key: key, limit: limit, period: period, changes: map[int64]int{}}
}

// add adds n items that expire at the same time. n may be negative.
func (u *usage) add(expires time.Time, n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.changes[expires.UnixMilli()/u.period.Milliseconds()] += n
	u.changed += n
}

// full returns "1" if the limit is reached, and "0" otherwise.
func (u *usage) full() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.stored+u.changed >= u.limit {
		return "1"
	}
	return "0"
}

// take returns the changes that are not stored yet, and their sum.
func (u *usage) take() (map[int64]int, int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.changes), u.changed
}

// settle records that changes were stored, and that stored is the new sum of
// all nodes.
func (u *usage) settle(changes map[int64]int, changed, stored int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for period, n := range changes {
		if u.changes[period] -= n; u.changes[period] == 0 {
			delete(u.changes, period)
		}
	}
	u.changed -= changed
	u.stored = stored
}

// flush stores the changes of this node, and reads the sum of all nodes. If the
// answer is lost, the changes may be counted twice, until their periods are
// over.
func (s *Store) flush(ctx context.Context, u *usage) error {
	changes, changed := u.take()
	args := []string{strconv.FormatInt(u.period.Milliseconds(), 10)}
	for period, n := range changes {
		args = append(args, strconv.FormatInt(period, 10), strconv.Itoa(n))
	}
	answer, err := s.run(ctx, usageScript, u.key, args...)
	if err != nil {
		return err
	}
	if len(answer) != 1 {
		return errAnswer
	}
	sum := numbers(answer[0])
	if sum == nil {
		return errAnswer
	}
	u.settle(changes, changed, int(sum[0]))
	return nil
}
