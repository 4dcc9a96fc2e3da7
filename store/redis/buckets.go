package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"wsauth/store"
)

var (
	takeScript        = newScript(false, "take")
	refillScript      = newScript(true, "refill")
	readRecordScript  = newScript(true, "readrecord")
	writeRecordScript = newScript(false, "writerecord")
)

// Take implements [store.Buckets].
func (s *Store) Take(ctx context.Context, key string, interval time.Duration, burst int) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := store.CheckBucket(key, interval, burst); err != nil {
		return 0, err
	}
	answer, err := s.run(ctx, takeScript, s.keys.bucket(key), strconv.FormatInt(interval.Microseconds(), 10), strconv.Itoa(burst))
	if err != nil {
		return 0, err
	}
	if len(answer) != 1 {
		return 0, errAnswer
	}
	wait := numbers(answer[0])
	if wait == nil {
		return 0, errAnswer
	}
	return time.Duration(wait[0]) * time.Microsecond, nil
}

// Refill implements [store.Buckets].
func (s *Store) Refill(ctx context.Context, key string) error {
	_, err := s.run(ctx, refillScript, s.keys.bucket(key))
	return err
}

// ReadRecord implements [store.Records].
func (s *Store) ReadRecord(ctx context.Context, name string) (store.Record, error) {
	answer, err := s.run(ctx, readRecordScript, s.keys.record(name))
	if err != nil {
		return store.Record{}, err
	}
	return decodeRecord(answer)
}

// decodeRecord decodes a record: its version, a space and the value.
func decodeRecord(answer []string) (store.Record, error) {
	if len(answer) != 1 {
		return store.Record{}, errAnswer
	}
	if answer[0] == "" {
		return store.Record{}, store.ErrNotFound
	}
	version, value, ok := strings.Cut(answer[0], " ")
	n := numbers(version)
	if n == nil || n[0] == 0 || !ok || len(value) > store.MaxRecordValue {
		return store.Record{}, fmt.Errorf("%w: a record", errAnswer)
	}
	return store.Record{Value: []byte(value), Version: n[0]}, nil
}

// WriteRecord implements [store.Records].
func (s *Store) WriteRecord(ctx context.Context, name string, r store.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.Check(name); err != nil {
		return err
	}
	answer, err := s.run(ctx, writeRecordScript, s.keys.record(name), strconv.FormatUint(r.Version, 10), string(r.Value))
	switch {
	case err != nil:
		return err
	case len(answer) == 1 && answer[0] == "OK":
		return nil
	case len(answer) == 1 && answer[0] == "CONFLICT":
		return store.ErrConflict
	}
	return errAnswer
}
