package store

import (
	"context"
	"errors"
)

// ErrReused means that a refresh token was used after another had replaced it.
// The token may have been stolen. It is unknown whether the user or a thief has
// used it, so the store has ended the session.
var ErrReused = errors.New("store: the refresh token was used before")

// Sessions stores login sessions. Implementations must be safe for concurrent
// use. Methods return soon after ctx is done, with its error. Times have a
// precision of milliseconds.
//
// After an error that is not defined in this package, such as that of ctx, a
// change may or may not have been made. To find out, repeat the call. A
// repeated BeginSession returns [ErrInvalid] if the session was added. A
// rotation that is repeated within its grace period returns the result of the
// first one, if it was made.
type Sessions interface {
	// Clock provides the times of the sessions.
	Clock

	// BeginSession adds a session. It returns [ErrInvalid] if the subject has a
	// session with this ID, if an ID, subject or jti is missing or too long, or
	// if a time is missing (except Rotated) or after the year 9999. A store may
	// also refuse the ID of another subject's session. It returns [ErrFull] if
	// the store is full or the subject has MaxSubjectSessions sessions. An
	// expired session is not stored; this is not an error. After BeginSession
	// has returned nil, the session is as durable as the store can make it. The
	// same applies to all other changes.
	BeginSession(context.Context, Session) error

	// RotateSession atomically exchanges a refresh token and returns the
	// session as it is afterwards.
	//
	// If From is Current, To replaces Current, and Key replaces the Key of the
	// session.
	//
	// If From is Previous, the exchange is repeated: only Remote and Agent
	// change. This is allowed for Grace after Current replaced From. It is also
	// allowed for Retry, if Key is that of the first exchange and Current has
	// not been presented since. So a client that lost the first answer gets the
	// same Current again. Two tabs of a browser that rotate at the same time
	// also get the same Current.
	//
	// If Generation is higher than that of the session, the store has lost
	// rotations. From is then treated as Current.
	//
	// With any other From, RotateSession ends the session and returns it as it
	// was, with [ErrReused]. If the subject has no such session, or it has
	// ended or expired, the error is [ErrNotFound]. If the rotation is not
	// valid for any session, for example because an ID is missing, the error is
	// [ErrInvalid] and nothing changes.
	RotateSession(context.Context, Rotation) (Session, error)

	// PresentSession atomically checks a refresh token without exchanging it,
	// and returns the session as it is afterwards.
	//
	// If the token is Current, it is accepted, and Key is cleared: the client
	// has received Current, so it has no reason to repeat the rotation. If the
	// token is Previous, it is accepted if Current replaced it at most Grace
	// ago, and nothing changes. If Generation is higher than that of the
	// session, the token is treated as Current, as in RotateSession. With any
	// other token, PresentSession ends the session and returns it as it was,
	// with [ErrReused]. If the session does not exist, has ended or has
	// expired, the error is [ErrNotFound].
	PresentSession(context.Context, Presentation) (Session, error)

	// EndSession deletes a session of a subject. It is not an error if the
	// session does not exist.
	EndSession(ctx context.Context, subject, id string) error

	// FindSession returns a session of a subject. If the session does not
	// exist, has ended or has expired, the error is [ErrNotFound].
	FindSession(ctx context.Context, subject, id string) (Session, error)

	// ListSessions returns the sessions of a subject that have not expired, at
	// most [MaxSubjectSessions], oldest first. It is not an error if there are
	// none.
	ListSessions(ctx context.Context, subject string) ([]Session, error)
}
