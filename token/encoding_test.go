package token

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestClaimsEncoding: what a verifier made comes back whole, leeway included.
func TestClaimsEncoding(t *testing.T) {
	key := testKey(HS256)
	v := newVerifier(t, VerifierConfig{Leeway: 7 * time.Second}, key)
	claims, err := v.Verify(t.Context(), mint(t, key, headerOf(HS256), valid(`,"sid":"s","jti":"j","x":{"y":[1]}`)))
	if err != nil {
		t.Fatal(err)
	}
	data, err := claims.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var back Claims
	if err := back.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*claims, back, cmp.AllowUnexported(Claims{}), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if !back.ValidUntil().Equal(claims.ExpiresAt.Add(7 * time.Second)) {
		t.Errorf("valid until %v", back.ValidUntil())
	}
}

// FuzzClaimsEncoding: what is read is what a token may say, and written again
// is the same bytes; what is refused leaves the claims as they were.
func FuzzClaimsEncoding(f *testing.F) {
	seeds(f, []string{valid(""), valid(`,"sid":"s"`), `{"sub":"a"}`, `{"exp":1}`, `{"sub":"a","exp":1,"sub":"b"}`, "[]", ""}, func(payload string) {
		f.Add(append(binary.BigEndian.AppendUint64(nil, uint64(time.Second)), payload...))
		f.Add(append(binary.BigEndian.AppendUint64(nil, uint64(time.Hour)), payload...))
	})
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		c := Claims{Subject: "before"}
		if err := c.UnmarshalBinary(data); err != nil {
			if c.Subject != "before" || c.payload != "" {
				t.Fatalf("changed by what was refused: %+v", c)
			}
			return
		}
		if c.Subject == "" || c.ExpiresAt.IsZero() || c.ValidUntil().Sub(c.ExpiresAt) > maxLeeway {
			t.Fatalf("read %+v", c)
		}
		if again, _ := c.MarshalBinary(); !bytes.Equal(again, data) {
			t.Fatalf("%x came back as %x", data, again)
		}
	})
}
