package storetest

import (
	"errors"
	"testing"
	"time"

	"wsauth/store"
)

// Sessions tests an implementation of [store.Sessions].
func Sessions[S store.Sessions](t *testing.T, c Config[S]) {
	c.each(t, map[string]func(*testing.T, S){
		"begin":            func(t *testing.T, s S) { testSessionBegin(t, s) },
		"canonical":        func(t *testing.T, s S) { testSessionCanonical(t, s) },
		"invalid":          func(t *testing.T, s S) { testSessionInvalid(t, s) },
		"expired":          func(t *testing.T, s S) { testSessionExpired(t, s) },
		"rotation":         func(t *testing.T, s S) { testSessionRotation(t, s) },
		"end":              func(t *testing.T, s S) { testSessionEnd(t, s) },
		"cancellation":     func(t *testing.T, s S) { testSessionCancellation(t, s) },
		"many":             func(t *testing.T, s S) { testSessionMany(t, s) },
		"L7 reuse":         func(t *testing.T, s S) { testSessionReuse(t, s) },
		"L7 no grace":      func(t *testing.T, s S) { testSessionNoGrace(t, s) },
		"L7 parallel":      func(t *testing.T, s S) { testSessionParallelReuse(t, sessionNodes(c.nodes(t, s))) },
		"retry":            func(t *testing.T, s S) { testSessionRetry(t, s) },
		"L7 retry":         func(t *testing.T, s S) { testSessionRetryReuse(t, s) },
		"present":          func(t *testing.T, s S) { testSessionPresent(t, s) },
		"present, grace":   func(t *testing.T, s S) { testSessionPresentGrace(t, s) },
		"L8 grace":         func(t *testing.T, s S) { testSessionGrace(t, s) },
		"L8 parallel":      func(t *testing.T, s S) { testSessionParallel(t, sessionNodes(c.nodes(t, s))) },
		"parallel begin":   func(t *testing.T, s S) { testSessionParallelBegin(t, sessionNodes(c.nodes(t, s))) },
		"parallel changes": func(t *testing.T, s S) { testSessionParallelChanges(t, sessionNodes(c.nodes(t, s))) },
	})
	if c.Run != nil {
		c.each(t, map[string]func(*testing.T, S){
			"expiry":               func(t *testing.T, s S) { testSessionExpiry(t, s) },
			"expiry is seen":       func(t *testing.T, s S) { testSessionExpiryIsSeen(t, s) },
			"L7 grace is up":       func(t *testing.T, s S) { testSessionGraceIsUp(t, s) },
			"L7 retry is up":       func(t *testing.T, s S) { testSessionRetryIsUp(t, s) },
			"present, grace is up": func(t *testing.T, s S) { testSessionPresentGraceIsUp(t, s) },
		})
	}
	if c.Reopen != nil {
		c.each(t, map[string]func(*testing.T, S){
			"L7 restart": func(t *testing.T, s S) {
				testSessionRestart(t, s, func() store.Sessions { return c.Reopen(t, s) })
			},
			"retry after a restart": func(t *testing.T, s S) {
				testSessionRetryRestart(t, s, func() store.Sessions { return c.Reopen(t, s) })
			},
		})
	}
	if c.OpenSmall != nil {
		t.Run("full", func(t *testing.T) {
			c.run(t, func(t *testing.T) { testSessionFull(t, c.OpenSmall(t)) })
		})
	}
}

func sessionNodes[S store.Sessions](nodes [3]S) (all []store.Sessions) {
	for _, s := range nodes {
		all = append(all, s)
	}
	return all
}

// started is the start of most sessions of the suite.
var started = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// newSession returns a session that never expires, with the refresh token "0".
func newSession(id, subject string) store.Session {
	return store.Session{ID: id, Subject: subject, Current: "0", Started: started, Rotated: started, Expires: expires, Ends: expires, Remote: "192.0.2.1", Agent: "suite"}
}

// rotation returns a rotation of a session of ann with a grace period of a
// year.
func rotation(id, from, to string) store.Rotation {
	return store.Rotation{Subject: "ann", ID: id, From: from, To: to, Grace: 365 * 24 * time.Hour, Expires: expires, Remote: "2001:db8::1", Agent: "other"}
}

// ofSubject returns r for a session of another subject than ann.
func ofSubject(subject string, r store.Rotation) store.Rotation {
	r.Subject = subject
	return r
}

func begin(t *testing.T, s store.Sessions, sessions ...store.Session) {
	t.Helper()
	for _, session := range sessions {
		if err := s.BeginSession(t.Context(), session); err != nil {
			t.Fatalf("BeginSession %s: %v", session.ID, err)
		}
	}
}

// wantRotated rotates a session and asserts that current is the valid token
// afterwards.
func wantRotated(t *testing.T, s store.Sessions, r store.Rotation, current string) store.Session {
	t.Helper()
	session, err := s.RotateSession(t.Context(), r)
	if err != nil || session.Current != current || session.ID != r.ID || session.Remote != r.Remote || session.Agent != r.Agent {
		t.Errorf("RotateSession %s from %s to %s: %+v, %v, want Current %s", r.ID, r.From, r.To, session, err, current)
	}
	return session
}

// wantReused asserts that a rotation is a reuse, which ends the session.
func wantReused(t *testing.T, s store.Sessions, r store.Rotation, was store.Session) {
	t.Helper()
	if session, err := s.RotateSession(t.Context(), r); !errors.Is(err, store.ErrReused) || session != was {
		t.Errorf("RotateSession %s from %s: %+v, %v\nwant %+v, ErrReused", r.ID, r.From, session, err, was)
	}
	wantNoSession(t, s, was)
}

// wantPresented asserts that a token is accepted.
func wantPresented(t *testing.T, s store.Sessions, p store.Presentation) store.Session {
	t.Helper()
	session, err := s.PresentSession(t.Context(), p)
	if err != nil || session.ID != p.ID {
		t.Errorf("PresentSession %s with %s: %+v, %v", p.ID, p.Token, session, err)
	}
	return session
}

// wantPresentReused asserts that a token is a reuse, which ends the session.
func wantPresentReused(t *testing.T, s store.Sessions, p store.Presentation, was store.Session) {
	t.Helper()
	if session, err := s.PresentSession(t.Context(), p); !errors.Is(err, store.ErrReused) || session != was {
		t.Errorf("PresentSession %s with %.10q: %+v, %v\nwant %+v, ErrReused", p.ID, p.Token, session, err, was)
	}
	wantNoSession(t, s, was)
}

// wantNoPresentation asserts that the session of a token does not exist.
func wantNoPresentation(t *testing.T, s store.Sessions, p store.Presentation) {
	t.Helper()
	if session, err := s.PresentSession(t.Context(), p); !errors.Is(err, store.ErrNotFound) || session != (store.Session{}) {
		t.Errorf("PresentSession %.10q with %s: %+v, %v, want ErrNotFound", p.ID, p.Token, session, err)
	}
}

// wantNoSession asserts that a session does not exist, not even for its last
// token.
func wantNoSession(t *testing.T, s store.Sessions, was store.Session) {
	t.Helper()
	for _, from := range []string{was.Current, "other"} {
		wantNoPresentation(t, s, presentation(was.ID, from))
		if session, err := s.RotateSession(t.Context(), rotation(was.ID, from, "next")); !errors.Is(err, store.ErrNotFound) || session != (store.Session{}) {
			t.Errorf("RotateSession %s from %s: %+v, %v, want ErrNotFound", was.ID, from, session, err)
		}
	}
	all, err := s.ListSessions(t.Context(), was.Subject)
	if err != nil {
		t.Errorf("ListSessions: %v", err)
	}
	for _, session := range all {
		if session.ID == was.ID {
			t.Errorf("%s is still listed", session.ID)
		}
	}
}

// wantListed asserts which sessions a subject has.
func wantListed(t *testing.T, s store.Sessions, subject string, want ...store.Session) {
	t.Helper()
	got, err := s.ListSessions(t.Context(), subject)
	if err != nil || len(got) != len(want) {
		t.Errorf("ListSessions %s: %+v, %v\nwant %+v", subject, got, err, want)
		return
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("session %d is %+v\nwant %+v", i, got[i], want[i])
		}
	}
}
