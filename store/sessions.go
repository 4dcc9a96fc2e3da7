package store

import (
	"context"
	"errors"
)

// ErrReused means that a refresh token was used after another had replaced it.
// It may have been stolen, and it is unknown whether the thief or the user has
// used it, so the session has been ended.
var ErrReused = errors.New("store: the refresh token was used before")

// Sessions stores login sessions. Implementations must be safe for concurrent
// use. Methods return soon after ctx is done, with its error. Times have a
// precision of milliseconds.
//
// After an error that is not defined in this package, such as that of ctx, a
// change may or may not have been made. Repeating the call that begins or ends
// the session shows which; a rotation repeated within its grace period finds
// the one that was made.
type Sessions interface {
	// BeginSession adds a session. It returns [ErrInvalid] if the ID is taken,
	// if a name is missing or too long, or if a time is missing (except
	// Rotated) or after the year 9999. It returns [ErrFull] if the store is
	// full or the subject has MaxSubjectSessions sessions. If the session has
	// expired, it is not stored, and that is not an error. After BeginSession
	// has returned nil, the session is as durable as the store can make it.
	// The same applies to all other changes.
	BeginSession(context.Context, Session) error

	// RotateSession atomically exchanges a refresh token and returns the
	// session as it is afterwards.
	//
	// If From is Current, To replaces Current, and Key replaces the Key of the
	// session.
	//
	// If From is Previous, the exchange is repeated: only Remote and Agent
	// change. This is allowed if Current replaced it at most Grace ago. It is
	// also allowed at most Retry ago, if Key is the same as in the first
	// exchange and Current has not been presented since. So a client whose
	// first answer was lost, or two tabs of a browser that rotate at the same
	// time, get the same Current.
	//
	// Any other From is [ErrReused] and ends the session; RotateSession then
	// also returns the session as it was. If the session does not exist, has
	// ended or has expired, the error is [ErrNotFound]. If r is not valid for
	// any session, for example without a name, the error is [ErrInvalid] and
	// nothing changes.
	RotateSession(context.Context, Rotation) (Session, error)

	// PresentSession atomically checks a refresh token without exchanging it,
	// and returns the session as it is afterwards.
	//
	// If the token is Current, it is accepted, and Key is cleared: the client
	// has received Current, so there is no reason to request it again with its
	// key. If the token is Previous, it is accepted if Current replaced it at
	// most Grace ago, and nothing changes. Any other token is [ErrReused] and
	// ends the session; PresentSession then also returns the session as it was.
	// If the session does not exist, has ended or has expired, the error is
	// [ErrNotFound].
	PresentSession(context.Context, Presentation) (Session, error)

	// EndSession deletes a session. It is not an error if the session does not
	// exist.
	EndSession(ctx context.Context, id string) error

	// ListSessions returns the sessions of a subject that have not expired, at
	// most [MaxSubjectSessions], the oldest first. It is not an error if there
	// are none.
	ListSessions(ctx context.Context, subject string) ([]Session, error)
}
