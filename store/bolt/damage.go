package bolt

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	bberrors "go.etcd.io/bbolt/errors"
)

// ErrDamaged means that a file is not as it was written, so that nobody knows
// what it has lost. The error is a [DamageError].
var ErrDamaged = errors.New("store/bolt: the file is damaged")

// A DamageError says what is wrong with a file. A store that finds it in an
// open file fails from then on, whatever it is asked.
type DamageError struct {
	Path string
	What string // such as "page 7 is damaged"
}

// Error says what is wrong and what to do about it.
func (e *DamageError) Error() string {
	return fmt.Sprintf("store/bolt: %s is damaged (%s): restore a backup of it, or move it away, and revoke everything until now, since what was revoked later, or at all, is lost with it", e.Path, e.What)
}

// Is reports whether target is [ErrDamaged].
func (e *DamageError) Is(target error) bool { return target == ErrDamaged }

// damaged makes a DamageError whose Path is not known yet.
func damaged(format string, a ...any) *DamageError {
	return &DamageError{What: fmt.Sprintf(format, a...)}
}

// A failure is an error on its way through a panic.
type failure struct{ error }

// require panics with an error, which [guarded] returns.
func require(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// guarded calls do, and returns as a [DamageError] what bbolt panics about: it
// reads the file through memory, and trusts it. A page that cannot be read, as
// of a file that has been truncated, is a fault of memory. guarded cannot
// catch an overflow of the stack, nor what happens on other goroutines, where
// bbolt looks for free pages at the start and when a commit fails; so [trees],
// [verify] and [engineLog] look at the pages before.
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

// located adds the path to a DamageError that has none, and makes one of what
// bbolt says of damaged pages.
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
