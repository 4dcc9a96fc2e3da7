package login

import (
	"context"
	"log/slog"

	"wsauth/internal/problem"
	"wsauth/store"
)

// acceptedSessions wraps a store. A change that no replica has confirmed is a
// success, because all nodes see it; see [problem.Accepted]. If it were an
// error, the client would repeat its refresh, which would look like theft.
type acceptedSessions struct {
	store.Sessions
	log *slog.Logger
}

// BeginSession implements [store.Sessions].
func (a acceptedSessions) BeginSession(ctx context.Context, s store.Session) error {
	return problem.Accepted(a.log, a.Sessions.BeginSession(ctx, s), "session", s.ID)
}

// RotateSession implements [store.Sessions].
func (a acceptedSessions) RotateSession(ctx context.Context, r store.Rotation) (store.Session, error) {
	s, err := a.Sessions.RotateSession(ctx, r)
	return s, problem.Accepted(a.log, err, "session", r.ID)
}

// PresentSession implements [store.Sessions].
func (a acceptedSessions) PresentSession(ctx context.Context, p store.Presentation) (store.Session, error) {
	s, err := a.Sessions.PresentSession(ctx, p)
	return s, problem.Accepted(a.log, err, "session", p.ID)
}

// EndSession implements [store.Sessions].
func (a acceptedSessions) EndSession(ctx context.Context, subject, id string) error {
	return problem.Accepted(a.log, a.Sessions.EndSession(ctx, subject, id), "session", id)
}
