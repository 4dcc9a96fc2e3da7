package login

import (
	"testing"
	"time"

	"wsauth/store"
	"wsauth/token"
)

// A token of the gateway's key that lives longer than those that the gateway
// issues itself, as "wsauth token issue" makes them, stays revoked for as
// long.
func TestEndsHoldForLongLivedTokens(t *testing.T) {
	var keys *token.KeySet
	inBubble(t, func(t *testing.T, r *rig) {
		issuer, err := token.NewIssuer(token.IssuerConfig{Key: keys})
		if err != nil {
			t.Fatal(err)
		}
		issue := func(name string) string {
			t.Helper()
			made, err := issuer.Access(name, token.Options{TTL: 3 * time.Hour, SessionID: store.NewSessionID()})
			if err != nil {
				t.Fatal(err)
			}
			return made.Raw
		}
		leaves, removed, stays := issue("leaves"), issue("removed"), issue("stays")
		if e := r.call("POST", "/auth/logout", "", bearer(leaves)); e.StatusCode != 204 {
			t.Fatalf("logout: %d %s", e.StatusCode, e.body)
		}
		if _, _, err := r.s.EndUser(t.Context(), "removed"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour) // what the gateway issued itself has expired, and revocations of that are forgotten
		for _, access := range []string{leaves, removed} {
			wantDead(t, r.call("GET", "/auth/session", "", bearer(access)))
		}
		r.claims(stays)
	}, func(c *setup) {
		keys, _ = c.Keys.(*token.KeySet)
		c.AccessTTL, c.RefreshTTL = time.Minute, 2*time.Minute
	})
}
