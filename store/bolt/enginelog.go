package bolt

import (
	"errors"
	"io"
	"sync/atomic"

	"go.etcd.io/bbolt"
)

// An engineLog is bbolt's logger, and logs nothing. bbolt tells it that a
// commit has failed, as on a full disk, before it looks for free pages: it
// follows every page of the file then, on a goroutine where nothing can
// recover from what it finds. So the engineLog checks these pages first, and
// panics with a [DamageError], which [guarded] returns.
type engineLog struct {
	bbolt.DefaultLogger // has no output

	file       io.ReaderAt // nil while bbolt opens it
	pageSize   uint64
	committing atomic.Bool // a commit has not failed yet
}

// Debugf discards what bbolt says of each call.
func (*engineLog) Debugf(string, ...any) {}

// Infof discards what bbolt says when it opens a file.
func (*engineLog) Infof(string, ...any) {}

// Warningf discards the rest.
func (*engineLog) Warningf(string, ...any) {}

// Errorf checks all pages if a commit has failed.
func (l *engineLog) Errorf(string, ...any) {
	if l.file != nil && l.committing.Swap(false) {
		require(checkInUse(l.file, l.pageSize))
	}
}

// checkInUse checks all pages of an open file that the last commit has in use.
func checkInUse(file io.ReaderAt, pageSize uint64) error {
	first, err := readMeta(file, 0, pageSize)
	second, otherErr := readMeta(file, 1, pageSize)
	switch { // as bbolt chooses between them
	case err != nil && otherErr != nil:
		return err
	case err != nil, otherErr == nil && second.tx > first.tx:
		first = second
	}
	pages := newPageReader(file, first)
	nothing := func(element) error { return nil }
	var headers [][]byte
	err = pages.walk(first.root, func(e element) error {
		if !e.bucket || len(e.value) < bucketHead {
			return damaged("a record lies outside of the buckets")
		}
		headers = append(headers, append([]byte(nil), e.value...))
		return nil
	})
	for _, header := range headers {
		err = errors.Join(err, pages.walkBucket(header, nothing))
	}
	return err
}
