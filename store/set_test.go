package store

import (
	"fmt"
	"testing"
	"time"

	"wsauth/token"
)

// TestSetRefilters: when enough was forgotten the filter is made anew, holds
// what the set holds, and no longer what it forgot.
func TestSetRefilters(t *testing.T) {
	now := time.Now()
	s := newSet()
	const n = 1000
	for i := range n {
		expires := now.Add(-ClockSlack)
		if i%2 == 0 {
			expires = now
		}
		s.put(Revocation{Scope: scopes[i%2], ID: fmt.Sprint(i), Expires: expires})
	}
	s.put(Revocation{Scope: Everything, Before: now, Expires: now})
	s.forgotten = refilterAfter - n/2 - 1
	s.sweep(now, n)
	s.refilter()
	if !s.ids.mayHold("1") || s.forgotten != refilterAfter-1 {
		t.Fatalf("made anew after %d", s.forgotten)
	}
	s.forgotten++
	s.refilter()
	wrong := 0
	for i := range n {
		id := fmt.Sprint(i)
		switch held := s.ids.mayHold(id); {
		case i%2 == 0 && (!held || !s.revoked(&token.Claims{ID: id, IssuedAt: now.Add(time.Minute)})):
			t.Errorf("%d is not revoked", i)
		case i%2 == 1 && held:
			wrong++
		}
	}
	if wrong > 10 {
		t.Errorf("the filter still holds %d of %d that were forgotten", wrong, n/2)
	}
	if s.forgotten != 0 || s.len() != n/2+1 || !s.revoked(&token.Claims{IssuedAt: now}) {
		t.Errorf("%d forgotten, %d held", s.forgotten, s.len())
	}
}
