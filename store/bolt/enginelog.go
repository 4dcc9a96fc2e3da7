package bolt

import (
	"errors"
	"io"
	"sync/atomic"

	"go.etcd.io/bbolt"
)

// An engineLog is bbolt's logger. It logs nothing. When a commit fails, for
// example because the disk is full, bbolt logs the error, and then looks for
// free pages: it follows every page of the file on a goroutine whose panics
// cannot be recovered. Therefore the engineLog checks all pages when the error
// is logged. It panics with a [DamageError], which [guarded] returns.
type engineLog struct {
	bbolt.DefaultLogger // without output

	file       io.ReaderAt // nil while bbolt opens the file
	pageSize   uint64
	committing atomic.Bool // a commit is in progress
}

// Debugf discards the message.
func (*engineLog) Debugf(string, ...any) {}

// Infof discards the message.
func (*engineLog) Infof(string, ...any) {}

// Warningf discards the message.
func (*engineLog) Warningf(string, ...any) {}

// Errorf checks all pages if a commit has failed.
func (l *engineLog) Errorf(string, ...any) {
	if l.file != nil && l.committing.Swap(false) {
		require(checkInUse(l.file, l.pageSize))
	}
}

// checkInUse checks all pages of the last commit in an open file.
func checkInUse(file io.ReaderAt, pageSize uint64) error {
	first, err := readMeta(file, 0, pageSize)
	second, otherErr := readMeta(file, 1, pageSize)
	switch { // chooses the meta page as bbolt does
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
