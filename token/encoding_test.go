package token

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var sameClaims = []cmp.Option{cmp.AllowUnexported(Claims{}), cmpopts.EquateEmpty()}

// TestClaimsEncoding checks that claims are decoded as they were encoded,
// including the leeway, even if the caller has modified them.
func TestClaimsEncoding(t *testing.T) {
	key := testKey(HS256)
	v := newVerifier(t, VerifierConfig{Leeway: 7 * time.Second, IssuedLeeway: 9 * time.Second, MaxLifetime: math.MaxInt64, Audience: []string{"us"}}, key)
	read, err := v.Verify(t.Context(), mint(t, key, headerOf(HS256), valid(`,"sid":"s","sid_gen":9007199254740991,"jti":"j","aud":["us","b"],"iat":1.5,"x":{"y":[1]}`)))
	if err != nil {
		t.Fatal(err)
	}
	mapped := *read
	mapped.Subject, mapped.SessionID = "tenant/"+read.Subject, "tenant/s"
	own := Claims{Subject: "made", ExpiresAt: time.Unix(1_900_000_000, 0), Fresh: true, CSRF: "c"}
	for name, claims := range map[string]*Claims{"read": read, "mapped": &mapped, "own": &own} {
		data, err := claims.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var back Claims
		if err := back.UnmarshalBinary(data); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(*claims, back, sameClaims...); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if !back.ValidUntil().Equal(claims.ValidUntil()) {
			t.Errorf("%s: valid until %v", name, back.ValidUntil())
		}
	}
}

// FuzzClaimsEncoding checks that decoded claims have a subject, an expiry and a
// leeway within bounds, and do not change when they are encoded again. Refused
// data must leave the claims unchanged.
func FuzzClaimsEncoding(f *testing.F) {
	end := time.Unix(1_900_000_000, 5)
	seeds(f, []Claims{
		{Subject: "a", ExpiresAt: end},
		{Subject: "a", ExpiresAt: end, Issuer: "i", ID: "j", Audience: []string{"x", "y"}, Fresh: true, payload: `{"x":1}`, leeway: time.Second, issuedLeeway: 2 * time.Second},
		{Subject: "a"}, {ExpiresAt: end}, {Subject: "a", ExpiresAt: end, leeway: time.Hour}, {Subject: "a", ExpiresAt: end, issuedLeeway: time.Hour},
	}, func(c Claims) {
		data, err := c.MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[1:])
	})
	f.Add([]byte(`{"sub":"a","sub":"b","exp":"2030-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := Claims{Subject: "before"}
		if err := c.UnmarshalBinary(data); err != nil {
			if diff := cmp.Diff(Claims{Subject: "before"}, c, sameClaims...); diff != "" {
				t.Fatalf("changed by refused data: %s", diff)
			}
			return
		}
		if c.Subject == "" || c.ExpiresAt.IsZero() || c.leeway < 0 || c.leeway > MaxLeeway || c.issuedLeeway < 0 || c.issuedLeeway > MaxLeeway {
			t.Fatalf("read %+v", c)
		}
		again, err := c.MarshalBinary()
		var back Claims
		if err != nil || back.UnmarshalBinary(again) != nil {
			t.Fatalf("%q is not read again: %v", again, err)
		}
		if diff := cmp.Diff(c, back, sameClaims...); diff != "" {
			t.Fatal(diff)
		}
	})
}
