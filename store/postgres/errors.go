package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"wsauth/store"
)

var (
	// ErrSchema means that the tables do not exist or have another version,
	// and that [Open] must not or cannot upgrade them.
	ErrSchema = errors.New("store/postgres: the schema is not of this version")

	// ErrStandby means that the server is a standby, or a former primary
	// that has been replaced.
	ErrStandby = errors.New("store/postgres: the server is not the primary")
)

// Error codes of PostgreSQL.
const (
	codeReadOnly  = "25006" // read_only_sql_transaction
	codeRights    = "42501" // insufficient_privilege
	codeNoTable   = "42P01" // undefined_table
	codeNotInTime = "55000" // object_not_in_prerequisite_state: during recovery
)

// hasCode reports whether an error is from the server and has the given code.
func hasCode(err error, code string) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == code
}

// failure returns the error of a call that failed with err. Errors of the
// driver contain no passwords.
func (s *Store) failure(err error) error {
	switch {
	case isContract(err):
		return err
	case s.closing():
		return store.ErrClosed
	case hasCode(err, codeReadOnly), hasCode(err, codeNotInTime):
		// Another server may be the primary now.
		s.pool.Reset()
		return fmt.Errorf("%w: %w", ErrStandby, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("store/postgres: no answer within %v: %w", s.config.Timeout, err)
	}
	return fmt.Errorf("store/postgres: %w", err)
}

// isContract reports whether err is an error of package store or pgx that
// callers check for. Such errors are returned without a prefix.
func isContract(err error) bool {
	for _, known := range []error{
		store.ErrInvalid, store.ErrNotFound, store.ErrFull, store.ErrClosed, store.ErrCursor, store.ErrReused,
		store.ErrConflict, pgx.ErrNoRows,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}
