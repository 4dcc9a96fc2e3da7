package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"wsauth/store"
	"wsauth/store/storekit"
)

// beginSession stores a session ($1 to $4), unless its ID is taken, it has
// expired, the store has $5 sessions, or its subject has $6. $7 is the shard.
const beginSession = `
with now as (
	select now / 1000 as ms,
		(select sum(n) from totals where kind = 'sessions') >= $5
			or (select count(*) from sessions where subject = $2 and expires > c.now / 1000) >= $6 as full
	from clock c
), taken as (
	select from sessions, now where id = $1 and expires > now.ms
), begun as (
	insert into sessions as s (id, subject, expires, data)
	select $1, $2, $3::bigint, $4::bytea from now
	where $3::bigint > now.ms and not now.full and not exists (select from taken)
	on conflict (id) do update set subject = excluded.subject, expires = excluded.expires, data = excluded.data
		where s.expires <= (select ms from now)
	returning xmax = 0 as added
), counted as (
	update totals set n = n + 1 where kind = 'sessions' and shard = $7 and exists (select from begun where added)
)
select exists (select from begun), exists (select from taken), $3::bigint <= now.ms, now.full from now`

// endSession deletes a session of a subject. $3 is the shard.
const endSession = `
with gone as (
	delete from sessions where id = $1 and subject = $2 returning id
)
update totals set n = n - 1 where kind = 'sessions' and shard = $3 and exists (select from gone)`

// BeginSession implements [store.Sessions].
func (s *Store) BeginSession(ctx context.Context, session store.Session) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	session, err := session.Canonical()
	if err != nil {
		return err
	}
	err = s.beginSession(ctx, session)
	if err == store.ErrFull { //nolint:errorlint // beginSession returns it as it is
		if swept, failed := s.sweepTable(ctx, sessionTable); failed != nil || swept == 0 {
			return cmp.Or(failed, err)
		}
		err = s.beginSession(ctx, session)
	}
	s.wrote()
	return err
}

// beginSession is like BeginSession, but does not make room.
func (s *Store) beginSession(ctx context.Context, session store.Session) error {
	var begun, taken, expired, full bool
	err := s.transact(ctx, confirmed, func(t *transaction) error {
		// Without the lock, concurrent calls could exceed the limit of
		// the subject.
		s.lockName(t, "subject", session.Subject)
		t.one(beginSession, []any{
			[]byte(session.ID), []byte(session.Subject), session.Expires.UnixMilli(), storekit.AppendSession(nil, session),
			s.config.Limits.Sessions, store.MaxSubjectSessions, shard(),
		}, &begun, &taken, &expired, &full)
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, store.ErrUnconfirmed) || begun:
		return err
	case taken || !expired && !full:
		return fmt.Errorf("%w: the session exists", store.ErrInvalid)
	case expired:
		return nil
	}
	return store.ErrFull
}

// RotateSession implements [store.Sessions].
func (s *Store) RotateSession(ctx context.Context, r store.Rotation) (store.Session, error) {
	r, err := r.Canonical()
	if err != nil {
		return store.Session{}, err
	}
	return s.change(ctx, r.ID, func(old store.Session, now time.Time) (store.Session, error) { return old.Rotate(r, now) })
}

// PresentSession implements [store.Sessions].
func (s *Store) PresentSession(ctx context.Context, p store.Presentation) (store.Session, error) {
	return s.change(ctx, p.ID, func(old store.Session, now time.Time) (store.Session, error) { return old.Present(p, now) })
}

// change replaces a session with the result of next, and returns the result. If
// the refresh token was reused, it deletes the session. It locks the row while
// next runs. If the standbys do not confirm the change, it returns the session
// with [store.ErrUnconfirmed].
func (s *Store) change(ctx context.Context, id string, next func(old store.Session, now time.Time) (store.Session, error)) (store.Session, error) {
	var session store.Session
	var refused error // ErrNotFound or ErrReused
	err := s.transact(ctx, confirmed, func(t *transaction) error {
		var data []byte
		var now int64
		t.queue("select data from sessions where id = $1 for update", []byte(id)).Query(func(rows pgx.Rows) error {
			defer rows.Close()
			for rows.Next() {
				if err := rows.Scan(&data); err != nil {
					return err
				}
			}
			return rows.Err()
		})
		t.one("select now from clock", nil, &now) // after waiting for the row
		if err := t.send(); err != nil {
			return err
		}
		if data == nil {
			return store.ErrNotFound
		}
		old, err := decodeSession(data)
		if err != nil {
			return err
		}
		session, refused = next(old, time.UnixMicro(now))
		switch {
		case errors.Is(refused, store.ErrReused):
			t.queue(endSession, []byte(id), []byte(session.Subject), shard())
		case refused != nil:
			return refused
		case session != old:
			t.queue("update sessions set expires = $2, data = $3 where id = $1", []byte(id), session.Expires.UnixMilli(), storekit.AppendSession(nil, session))
		}
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, store.ErrUnconfirmed):
		return store.Session{}, err
	case refused != nil:
		err = refused
	}
	s.wrote()
	return session, err
}

// decodeSession decodes the column data of a session.
func decodeSession(data []byte) (store.Session, error) {
	session, err := storekit.DecodeSession(data)
	if err != nil {
		return store.Session{}, fmt.Errorf("a session is damaged: %v", err) //nolint:errorlint // no ErrInvalid: the caller is not at fault
	}
	return session, nil
}

// EndSession implements [store.Sessions].
func (s *Store) EndSession(ctx context.Context, subject, id string) error {
	err := s.transact(ctx, confirmed, func(t *transaction) error {
		t.queue(endSession, []byte(id), []byte(subject), shard())
		return nil
	})
	s.wrote()
	return err
}

// FindSession implements [store.Sessions].
func (s *Store) FindSession(ctx context.Context, subject, id string) (store.Session, error) {
	all, err := s.selectSessions(ctx, "select data from sessions where id = $1 and subject = $2 and expires > (select now / 1000 from clock)", []byte(id), []byte(subject))
	switch {
	case err != nil:
		return store.Session{}, err
	case len(all) == 0:
		return store.Session{}, store.ErrNotFound
	}
	return all[0], nil
}

// ListSessions implements [store.Sessions].
func (s *Store) ListSessions(ctx context.Context, subject string) ([]store.Session, error) {
	all, err := s.selectSessions(ctx, "select data from sessions where subject = $1 and expires > (select now / 1000 from clock)", []byte(subject))
	slices.SortFunc(all, func(a, b store.Session) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID))
	})
	return all, err
}

// selectSessions returns the sessions whose data a query selects.
func (s *Store) selectSessions(ctx context.Context, sql string, args ...any) ([]store.Session, error) {
	var all []store.Session
	err := s.transact(ctx, reading, func(t *transaction) error {
		t.queue(sql, args...).Query(func(rows pgx.Rows) (err error) {
			all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Session, error) {
				var data []byte
				if err := row.Scan(&data); err != nil {
					return store.Session{}, err
				}
				return decodeSession(data)
			})
			return err
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
