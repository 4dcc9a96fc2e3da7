package storetest

import (
	"errors"
	"testing"
	"time"

	"wsauth/store"
)

// Sessions tests an implementation of [store.Sessions].
func Sessions[S store.Sessions](t *testing.T, c Config[S]) {
	// on runs a test whose calls are spread over the nodes; onNodes runs a test
	// that chooses the node of each call.
	on := func(body func(*testing.T, store.Sessions)) func(*testing.T, S) {
		return func(t *testing.T, s S) { body(t, onAllSessions(c.nodes(t, s))) }
	}
	onNodes := func(body func(*testing.T, []store.Sessions)) func(*testing.T, S) {
		return func(t *testing.T, s S) {
			nodes := c.nodes(t, s)
			body(t, []store.Sessions{nodes[0], nodes[1], nodes[2]})
		}
	}
	c.each(t, map[string]func(*testing.T, S){
		"begin":            on(testSessionBegin),
		"canonical":        on(testSessionCanonical),
		"invalid":          on(testSessionInvalid),
		"subject":          on(testSessionSubject),
		"find":             on(testSessionFind),
		"parent":           on(testSessionParent),
		"expired":          on(testSessionExpired),
		"rotation":         on(testSessionRotation),
		"generations":      on(testSessionGenerations),
		"end":              on(testSessionEnd),
		"cancellation":     on(testSessionCancellation),
		"many":             on(testSessionMany),
		"L7 reuse":         on(testSessionReuse),
		"L7 no grace":      on(testSessionNoGrace),
		"L7 parallel":      onNodes(testSessionParallelReuse),
		"retry":            on(testSessionRetry),
		"L7 retry":         on(testSessionRetryReuse),
		"present":          on(testSessionPresent),
		"present, grace":   on(testSessionPresentGrace),
		"L8 grace":         on(testSessionGrace),
		"L8 parallel":      onNodes(testSessionParallel),
		"parallel begin":   onNodes(testSessionParallelBegin),
		"parallel changes": onNodes(testSessionParallelChanges),
		"D6 adoption":      on(testSessionAdoption),
		"D6 no adoption":   on(testSessionNotAdopted),
		"D6 parallel":      onNodes(testSessionAdoptionParallel),
		"D10 clock":        on(testSessionClock),
	})
	if c.Run != nil {
		c.each(t, map[string]func(*testing.T, S){
			"expiry":                   on(testSessionExpiry),
			"expiry is seen":           on(testSessionExpiryIsSeen),
			"L7 grace has ended":       on(testSessionGraceHasEnded),
			"L7 retry has ended":       on(testSessionRetryHasEnded),
			"present, grace has ended": on(testSessionPresentGraceHasEnded),
		})
	}
	if c.Reopen != nil {
		c.each(t, map[string]func(*testing.T, S){
			"L7 restart": func(t *testing.T, s S) {
				testSessionRestart(t, s, func() store.Sessions { return c.Reopen(t, s) })
			},
			"generations after a restart": func(t *testing.T, s S) {
				testGenerationRestart(t, s, func() store.Sessions { return c.Reopen(t, s) })
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

// started is the time at which most sessions of the suite started.
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

// wantReused asserts that a rotation fails with ErrReused, returns the session
// as it was, and ends it.
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

// wantPresentReused asserts that presenting a token fails with ErrReused,
// returns the session as it was, and ends it.
func wantPresentReused(t *testing.T, s store.Sessions, p store.Presentation, was store.Session) {
	t.Helper()
	if session, err := s.PresentSession(t.Context(), p); !errors.Is(err, store.ErrReused) || session != was {
		t.Errorf("PresentSession %s with %.10q: %+v, %v\nwant %+v, ErrReused", p.ID, p.Token, session, err, was)
	}
	wantNoSession(t, s, was)
}

// wantPresentNotFound asserts that presenting a token fails with ErrNotFound.
func wantPresentNotFound(t *testing.T, s store.Sessions, p store.Presentation) {
	t.Helper()
	if session, err := s.PresentSession(t.Context(), p); !errors.Is(err, store.ErrNotFound) || session != (store.Session{}) {
		t.Errorf("PresentSession %.10q with %s: %+v, %v, want ErrNotFound", p.ID, p.Token, session, err)
	}
}

// wantNoSession asserts that a session does not exist: no token can be
// presented or rotated, not even its last one, and the session is not listed.
func wantNoSession(t *testing.T, s store.Sessions, was store.Session) {
	t.Helper()
	for _, from := range []string{was.Current, "other"} {
		wantPresentNotFound(t, s, presentation(was.ID, from))
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
