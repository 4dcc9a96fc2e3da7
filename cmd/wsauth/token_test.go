package main

import (
	"testing"
	"testing/synctest"
	"time"

	"wsauth/internal/revindex"
	"wsauth/store"
	"wsauth/token"
)

// TestL6_IssuedInTheSecondOfARevocation checks tokens of "wsauth token issue"
// that were issued in the same second as a revocation. Those issued before it
// are revoked, and those issued after it are valid, although they have the same
// iat.
func TestL6_IssuedInTheSecondOfARevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, err := token.GenerateKey(token.HS256)
		if err != nil {
			t.Fatal(err)
		}
		issue := func() *token.Claims {
			t.Helper()
			made, err := (&tokenIssueCmd{Sub: "robot", Type: "access"}).issue(key, nil)
			if err != nil {
				t.Fatal(err)
			}
			return made.Claims
		}
		time.Sleep(300 * time.Millisecond)
		before := issue()
		cut := time.Now()
		time.Sleep(time.Millisecond) // a server waits as long before it answers
		after := issue()
		if !before.IssuedAt.Equal(after.IssuedAt) {
			t.Fatalf("iat %v and %v: not of one second", before.IssuedAt, after.IssuedAt)
		}
		for _, r := range []store.Revocation{
			{Target: store.TargetSubject, ID: "robot", Before: cut},
			{Target: store.TargetAll, Before: cut},
		} {
			if !revindex.Concerns(r, before) {
				t.Errorf("%v: a token of before lives", r.Target)
			}
			if revindex.Concerns(r, after) {
				t.Errorf("%v: a token of after is dead", r.Target)
			}
		}
		named, err := (&tokenIssueCmd{Sub: "robot", Type: "refresh", SID: "s1"}).issue(key, nil)
		if err != nil || named.Claims.SessionID != "s1" {
			t.Errorf("session %v, %v", named, err)
		}
	})
}
