package redis

import (
	"errors"
	"strings"
	"testing"
	"time"

	"wsauth/store"
	"wsauth/store/storekit"
)

// separator separates the values of an answer of the engine in a fuzz input.
const separator = "\x01|\x01"

// FuzzAnswers checks that whatever the engine answers, the result is valid or
// the error is one that is defined here.
func FuzzAnswers(f *testing.F) {
	moment := time.UnixMilli(1_700_000_000_123).UTC()
	revocation := func(target store.Target, id string) string {
		r := store.Revocation{Target: target, ID: id, Expires: moment}
		if target >= store.TargetSubject {
			r.Before = moment
		}
		return string(storekit.AppendRevocation(nil, r))
	}
	event := string(appendEvent(nil, store.Event{Kind: "k", ID: "i", Data: []byte("data"), Expires: moment}))
	session, err := store.Session{ID: "i", Subject: "s", Current: "c", Started: moment, Expires: moment, Ends: moment}.Canonical()
	if err != nil {
		f.Fatal(err)
	}
	encoded := string(storekit.AppendSession(nil, session))
	for _, answer := range [][]string{
		{}, {""}, {"CURSOR"}, {"NONE"}, {"GONE"}, {"OK", "value", "1700000000000"}, {"VOID", "", "1700000000000"},
		{"OK", "1", "e", "7", "1", "3", "1", "2", "1", revocation(store.TargetAll, ""), "1", "4-0", "r", revocation(store.TargetToken, "j"), "5-0", "r", revocation(store.TargetSubject, "u"), "7-0", "e", event},
		{"OK", "1", "e", "7", "0", "0", "0", "0", "0", "", "0"},
		{"1", "e", "2", "3"}, {"1", encoded}, {"1", "node", "2", "1 data"}, {"FULL", "3", "node", "node", "other"}, {"7 value"}, {"7"},
	} {
		f.Add(strings.Join(answer, separator))
	}
	f.Fuzz(func(t *testing.T, text string) {
		answer := strings.Split(text, separator)
		expected := func(err error, others ...error) {
			t.Helper()
			for _, other := range append(others, errAnswer, nil) {
				if errors.Is(err, other) {
					return
				}
			}
			t.Errorf("%q: %v", answer, err)
		}
		after := store.Cursor{Epoch: "e", Sequence: 3}
		read, err := decodePage(answer, after)
		if expected(err, store.ErrCursor); err == nil {
			checkPage(t, after, read.page(false))
			checkPage(t, after, read.page(true))
		}
		p, err := decodePosition(answer)
		if expected(err); err == nil && (!plausible(p.end) || p.count < 0) {
			t.Errorf("%q: %+v", answer, p)
		}
		one, _, err := decodeSession(answer, "s", "i")
		if expected(err, store.ErrNotFound); err == nil && (one.Subject != "s" || one.ID != "i") {
			t.Errorf("%q: %+v", answer, one)
		}
		all, err := decodeSessions(answer, "s")
		expected(err)
		for _, one := range all {
			if canonical, err := one.Canonical(); err != nil || canonical != one || one.Subject != "s" {
				t.Errorf("%q: %+v, %v", answer, one, err)
			}
		}
		_, _, err = decodeTicket(answer)
		expected(err, store.ErrNotFound)
		_, _, err = decodeNodes(answer)
		expected(err)
		set, err := decodeCount(answer)
		if expected(err, store.ErrNotFound); err == nil && set.counts.Sum < 0 {
			t.Errorf("%q: %+v", answer, set)
		}
		record, err := decodeRecord(answer)
		if expected(err, store.ErrNotFound); err == nil && record.Version == 0 {
			t.Errorf("%q: %+v", answer, record)
		}
		parseInfo(text)
	})
}

// checkPage checks that a page that was read after a cursor is canonical and
// makes progress.
func checkPage(t *testing.T, after store.Cursor, page store.Page) {
	t.Helper()
	if page.Next.Sequence < after.Sequence && !page.End || page.Next.Epoch == "" {
		t.Errorf("the page ends at %v", page.Next)
	}
	for _, r := range page.Revocations {
		if canonical, err := r.Canonical(); err != nil || canonical != r || r.Obsolete(page.Now) {
			t.Errorf("%v at %v, %v", r, page.Now, err)
		}
	}
	for _, e := range page.Events {
		if canonical, err := e.Canonical(); err != nil || !canonical.Expires.Equal(e.Expires) || e.Expired(page.Now) {
			t.Errorf("%v at %v, %v", e, page.Now, err)
		}
	}
}
