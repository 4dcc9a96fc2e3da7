package login

import (
	"testing"
	"time"

	"wsauth/store"
	"wsauth/token"
)

// TestEndsHoldForLongLivedTokens checks that a token that is signed with the
// same key but lives longer than those of the service, such as one issued by
// "wsauth token issue", stays revoked until it expires.
func TestEndsHoldForLongLivedTokens(t *testing.T) {
	var keys *token.KeySet
	inBubble(t, func(t *testing.T, r *rig) {
		issuer, err := token.NewIssuer(token.IssuerConfig{Key: keys})
		if err != nil {
			t.Fatal(err)
		}
		issue := func(name string) string {
			t.Helper()
			made, err := issuer.Access(name, token.Options{TTL: 3 * time.Hour, SessionID: store.NewSessionID(time.Now())})
			if err != nil {
				t.Fatal(err)
			}
			return made.Raw
		}
		leaves, removed, stays := issue("leaves"), issue("removed"), issue("stays")
		if e := r.Call("POST", "/auth/logout", "", bearer(leaves)); e.StatusCode != 204 {
			t.Fatalf("logout: %d %s", e.StatusCode, e.Text)
		}
		if _, _, err := r.s.EndUser(t.Context(), "removed"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour) // the service's own tokens have expired, and their revocations have been dropped
		for _, access := range []string{leaves, removed} {
			r.Call("GET", "/auth/session", "", bearer(access)).WantEnded(t)
		}
		r.Claims(stays)
	}, func(c *setup) {
		keys, _ = c.Keys.(*token.KeySet)
		c.AccessTTL, c.RefreshTTL = time.Minute, 2*time.Minute
	})
}

// TestEnd checks that End ends a session and its sockets, given its ID.
func TestEnd(t *testing.T) {
	r := start(t)
	access, refresh := r.Login()
	conn := r.echoes(access)
	if sockets, err := r.s.End(t.Context(), r.Claims(access)["sid"].(string)); sockets != 1 || err != nil {
		t.Errorf("%d sockets, %v", sockets, err)
	}
	r.WantClose(conn, 3000, "session_ended")
	r.Call("POST", "/auth/refresh", "", bearer(refresh)).WantEnded(t)
	if list, err := r.s.Sessions(t.Context(), "test"); len(list) != 0 || err != nil {
		t.Errorf("%v, %v", list, err)
	}
}
