package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"time"
)

// beatEvery is the time between beats. A node writes a beat if the newest one
// is older than this.
const beatEvery = time.Second

var (
	beatScript    = newScript(true, "log", "beat")
	confirmScript = newScript(true, "log", "confirm")
)

// beats is the state of the goroutine that writes beats.
type beats struct {
	every       time.Duration
	failed      bool // whether the last attempt failed
	unconfirmed bool // whether replicas did not confirm the last one
}

// keepBeating writes beats, and stores how many sessions and tickets this node
// has added, until the store is closed.
func (s *Store) keepBeating() {
	tick := time.NewTicker(s.beats.every)
	defer tick.Stop()
	for {
		select {
		case <-s.closing.Done():
			return
		case <-tick.C:
		}
		err := errors.Join(s.beat(s.closing), s.flush(s.closing, &s.sessions), s.flush(s.closing, &s.tickets))
		switch failed := err != nil; {
		case s.closing.Err() != nil, failed == s.beats.failed:
		case failed:
			s.config.Logger.Error("store/redis: the engine fails", "error", err)
			s.beats.failed = true
		default:
			s.config.Logger.Info("store/redis: the engine is back")
			s.beats.failed = false
		}
	}
}

// beat writes a beat unless the newest one is recent, and removes all entries
// of the log that have expired.
func (s *Store) beat(ctx context.Context) error {
	_, err := within(ctx, s, func(ctx context.Context) (struct{}, error) {
		for {
			more, err := s.beatOnce(ctx, s.beats.every)
			if err != nil || !more {
				return struct{}{}, err
			}
		}
	})
	return err
}

// beatOnce writes a beat unless the newest one is younger than every. If
// replicas confirm the beat, it records that. It reports whether the log has
// more entries to sweep.
func (s *Store) beatOnce(ctx context.Context, every time.Duration) (more bool, err error) {
	n := s.required()
	answer, unconfirmed, err := s.evalConfirmable(ctx, n, beatScript, s.keys.log(), rand.Text(), strconv.FormatInt(every.Milliseconds(), 10))
	if err != nil {
		return false, err
	}
	if len(answer) != 5 {
		return false, errAnswer
	}
	s.learn(answer[4])
	s.logReplicas(unconfirmed)
	if n > 0 && unconfirmed == nil && answer[2] != "0" {
		_, err = s.eval(ctx, confirmScript, s.keys.log(), rand.Text(), answer[1], answer[0], answer[2])
	}
	return answer[3] == "1", err
}

// logReplicas logs when replicas stop confirming beats, and when they confirm
// them again. In between, nodes stop trusting the log, although the engine
// answers.
func (s *Store) logReplicas(unconfirmed error) {
	switch missing := unconfirmed != nil; {
	case missing == s.beats.unconfirmed:
	case missing:
		s.config.Logger.Error("store/redis: replicas do not confirm the log: unless they do so soon, the nodes refuse all clients", "error", unconfirmed)
		s.beats.unconfirmed = true
	default:
		s.config.Logger.Info("store/redis: replicas confirm the log again")
		s.beats.unconfirmed = false
	}
}

// confirm waits until replicas have confirmed everything that was written
// before. It writes a beat: a replica that has the beat also has everything
// before it.
func (s *Store) confirm(ctx context.Context) (unconfirmed, err error) {
	_, unconfirmed, err = s.evalConfirmable(ctx, s.required(), beatScript, s.keys.log(), rand.Text(), "0")
	return unconfirmed, err
}

// evalConfirmable runs a script, and waits for n replicas if n is not 0.
func (s *Store) evalConfirmable(ctx context.Context, n int, sc *script, keys []string, args ...string) (answer []string, unconfirmed, err error) {
	if n > 0 {
		return s.evalConfirmed(ctx, n, sc, keys, args...)
	}
	answer, err = s.eval(ctx, sc, keys, args...)
	return answer, nil, err
}

// required returns how many replicas must confirm an entry of the log.
func (s *Store) required() int {
	switch {
	case s.config.Replicas != 0:
		return max(s.config.Replicas, 0)
	case s.followed.Load():
		return 1
	}
	return 0
}

// learn sets s.followed if the engine has answered that the log has had
// replicas.
func (s *Store) learn(followed string) {
	if followed == "1" {
		s.followed.Store(true)
	}
}
