package bolt

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	bberrors "go.etcd.io/bbolt/errors"
)

// ErrDamaged means that the contents of a file are not what was written, so it
// is unknown what has been lost. The error is a [DamageError].
var ErrDamaged = errors.New("store/bolt: the file is damaged")

// A DamageError describes the damage of a file. After a store finds damage in
// an open file, all its methods fail.
type DamageError struct {
	Path string
	What string // such as "page 7 is damaged"
}

// Error describes the damage and what to do about it.
func (e *DamageError) Error() string {
	return fmt.Sprintf("store/bolt: %s is damaged (%s): restore a backup of it, or move it away, and revoke everything until now, since what was revoked later, or at all, is lost with it", e.Path, e.What)
}

// Is reports whether target is [ErrDamaged].
func (e *DamageError) Is(target error) bool { return target == ErrDamaged }

// damaged returns a DamageError without a Path.
func damaged(format string, a ...any) *DamageError {
	return &DamageError{What: fmt.Sprintf(format, a...)}
}

// A failure wraps an error with which [require] panics.
type failure struct{ error }

// require panics if err is not nil. [guarded] returns the error.
func require(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// guarded calls do, and converts panics of bbolt into a [DamageError]. bbolt
// maps the file into memory and trusts its contents. Reading a page that does
// not exist, for example because the file was truncated, causes a memory fault.
//
// guarded cannot catch a stack overflow or a panic on another goroutine. bbolt
// uses another goroutine to look for free pages, on opening and when a commit
// fails. Therefore [trees], [verify] and [engineLog] check the pages first.
func guarded(path string, do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *DamageError:
			err = p
		case failure:
			err = p.error
		default:
			err = damaged("%s", strings.Join(strings.Fields(fmt.Sprint(p)), " "))
		}
		err = located(path, err)
	}()
	return do()
}

// located adds the path to a DamageError that has none. It converts bbolt's
// errors about damaged pages into a DamageError.
func located(path string, err error) error {
	for _, kind := range []error{bberrors.ErrInvalid, bberrors.ErrChecksum, bberrors.ErrVersionMismatch, bberrors.ErrInvalidMapping} {
		if errors.Is(err, kind) {
			err = damaged("%v", err)
		}
	}
	if d, ok := errors.AsType[*DamageError](err); ok && d.Path == "" {
		return &DamageError{path, d.What}
	}
	return err
}
