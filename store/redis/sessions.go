package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"wsauth/store"
	"wsauth/store/storekit"
)

var (
	beginSessionScript = newScript(false, "beginsession")
	findSessionScript  = newScript(true, "findsession")
	listSessionsScript = newScript(true, "listsessions")
	swapSessionScript  = newScript(false, "swapsession")
	endSessionScript   = newScript(true, "endsession")
)

// BeginSession implements [store.Sessions].
func (s *Store) BeginSession(ctx context.Context, session store.Session) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	session, err := session.Canonical()
	if err != nil {
		return err
	}
	answer, err := s.run(ctx, beginSessionScript, s.keys.sessions(session.Subject), session.ID, string(storekit.AppendSession(nil, session)),
		milliseconds(session.Expires), strconv.Itoa(store.MaxSubjectSessions), s.sessions.full())
	switch {
	case err != nil:
		return err
	case len(answer) != 1:
		return errAnswer
	}
	switch answer[0] {
	case "OK":
		s.sessions.add(session.Expires, 1)
		return nil
	case "EXPIRED":
		return nil
	case "EXISTS":
		return fmt.Errorf("%w: the session exists", store.ErrInvalid)
	case "FULL":
		return store.ErrFull
	}
	return errAnswer
}

// RotateSession implements [store.Sessions].
func (s *Store) RotateSession(ctx context.Context, r store.Rotation) (store.Session, error) {
	if err := ctx.Err(); err != nil {
		return store.Session{}, err
	}
	r, err := r.Canonical()
	if err != nil {
		return store.Session{}, err
	}
	return s.change(ctx, r.Subject, r.ID, func(old store.Session, now time.Time) (store.Session, error) { return old.Rotate(r, now) })
}

// PresentSession implements [store.Sessions].
func (s *Store) PresentSession(ctx context.Context, p store.Presentation) (store.Session, error) {
	return s.change(ctx, p.Subject, p.ID, func(old store.Session, now time.Time) (store.Session, error) { return old.Present(p, now) })
}

// change replaces a session of a subject with the result of next, and returns
// the result. If the refresh token was reused, it removes the session. If
// another call changes the session in the meantime, it starts again with the
// new state. In each round, one of the concurrent calls succeeds. Only
// Config.Timeout limits the number of rounds.
func (s *Store) change(ctx context.Context, subject, id string, next func(old store.Session, now time.Time) (store.Session, error)) (store.Session, error) {
	type outcome struct {
		session store.Session
		reused  error
	}
	o, err := within(ctx, s, func(ctx context.Context) (outcome, error) {
		key := s.keys.sessions(subject)
		answer, err := s.eval(ctx, findSessionScript, key, id)
		for {
			if err != nil {
				return outcome{}, err
			}
			old, now, err := decodeSession(answer, subject, id)
			if err != nil {
				return outcome{}, err
			}
			session, err := next(old, now)
			if err != nil && !errors.Is(err, store.ErrReused) {
				return outcome{}, err
			}
			to := ""
			if err == nil {
				to = string(storekit.AppendSession(nil, session))
			}
			if to == answer[1] { // nothing changes
				return outcome{session, nil}, nil
			}
			reused := err
			answer, err = s.eval(ctx, swapSessionScript, key, id, answer[1], to, milliseconds(session.Expires))
			if err == nil && len(answer) == 1 && answer[0] == "OK" {
				s.sessions.add(old.Expires, -1)
				if reused == nil {
					s.sessions.add(session.Expires, 1)
				}
				return outcome{session, reused}, nil
			}
		}
	})
	if err != nil {
		return store.Session{}, err
	}
	return o.session, o.reused
}

// decodeSession decodes a time and a session. It returns [store.ErrNotFound] if
// there is no session, if it has expired, or if it belongs to another subject:
// two subjects could have the same hash in the key.
func decodeSession(answer []string, subject, id string) (store.Session, time.Time, error) {
	if len(answer) != 2 {
		return store.Session{}, time.Time{}, errAnswer
	}
	at := numbers(answer[0])
	if at == nil {
		return store.Session{}, time.Time{}, errAnswer
	}
	now := time.UnixMilli(int64(at[0])).UTC()
	if answer[1] == "" {
		return store.Session{}, now, store.ErrNotFound
	}
	session, err := storekit.DecodeSession([]byte(answer[1]))
	switch {
	case err != nil:
		return store.Session{}, now, fmt.Errorf("%w: a session", errAnswer)
	case session.Subject != subject || session.ID != id || session.Expired(now):
		return store.Session{}, now, store.ErrNotFound
	}
	return session, now, nil
}

// EndSession implements [store.Sessions].
func (s *Store) EndSession(ctx context.Context, subject, id string) error {
	answer, err := s.run(ctx, endSessionScript, s.keys.sessions(subject), id)
	if err != nil || len(answer) != 1 {
		return cmp.Or(err, errAnswer)
	}
	if session, err := storekit.DecodeSession([]byte(answer[0])); err == nil {
		s.sessions.add(session.Expires, -1)
	}
	return nil
}

// FindSession implements [store.Sessions].
func (s *Store) FindSession(ctx context.Context, subject, id string) (store.Session, error) {
	answer, err := s.run(ctx, findSessionScript, s.keys.sessions(subject), id)
	if err != nil {
		return store.Session{}, err
	}
	session, _, err := decodeSession(answer, subject, id)
	return session, err
}

// ListSessions implements [store.Sessions].
func (s *Store) ListSessions(ctx context.Context, subject string) ([]store.Session, error) {
	answer, err := s.run(ctx, listSessionsScript, s.keys.sessions(subject))
	if err != nil {
		return nil, err
	}
	return decodeSessions(answer, subject)
}

// decodeSessions decodes a time and the sessions of a subject. It omits those
// that have expired.
func decodeSessions(answer []string, subject string) ([]store.Session, error) {
	if len(answer) < 1 {
		return nil, errAnswer
	}
	at := numbers(answer[0])
	if at == nil {
		return nil, errAnswer
	}
	var all []store.Session
	for _, text := range answer[1:] {
		session, err := storekit.DecodeSession([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("%w: a session", errAnswer)
		}
		if session.Subject == subject && !session.Expired(time.UnixMilli(int64(at[0]))) {
			all = append(all, session)
		}
	}
	slices.SortFunc(all, func(a, b store.Session) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}
