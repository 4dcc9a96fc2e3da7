package login

import (
	"errors"
	"testing"

	"wsauth"
)

// TestAnyRefusal: a logout is told what is wrong with the token that it shows.
// A refresh token that is revoked between the two checks is revoked, not of
// the wrong type.
func TestAnyRefusal(t *testing.T) {
	refusal := func(reason wsauth.Reason) error { return &wsauth.Error{Reason: reason} }
	for _, c := range []struct {
		access, refresh wsauth.Reason
		byCookie        bool
		want            wsauth.Reason
	}{
		{wsauth.WrongTokenType, wsauth.TokenRevoked, false, wsauth.TokenRevoked},
		{wsauth.WrongTokenType, wsauth.TokenExpired, false, wsauth.TokenExpired},
		{wsauth.WrongTokenType, wsauth.StoreUnavailable, false, wsauth.StoreUnavailable},
		{wsauth.WrongTokenType, wsauth.TokenRevoked, true, wsauth.TokenRevoked},
		{wsauth.TokenExpired, wsauth.TokenExpired, false, wsauth.TokenExpired},
		{wsauth.TokenRevoked, wsauth.WrongTokenType, false, wsauth.TokenRevoked},
		{wsauth.TokenMissing, wsauth.TokenMissing, true, wsauth.TokenMissing},
		{wsauth.TokenMissing, wsauth.TokenRevoked, true, wsauth.TokenRevoked},
		{wsauth.TokenExpired, wsauth.TokenMissing, true, wsauth.TokenExpired},
	} {
		if got := anyRefusal(refusal(c.access), refusal(c.refresh), c.byCookie); !errors.Is(got, c.want) {
			t.Errorf("%s and %s, cookies %t: %v; want %s", c.access, c.refresh, c.byCookie, got, c.want)
		}
	}
}
