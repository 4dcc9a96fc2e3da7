package token

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestExplain checks that Explain returns all reasons, and that the first one
// is the error of Verify.
func TestExplain(t *testing.T) {
	ours, other := testKey(HS256), must(GenerateKey(HS256))
	v := newVerifier(t, VerifierConfig{Issuer: "https://a.example", Audience: []string{"chat"}}, ours)
	now := time.Now().Unix()
	date := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, test := range []struct {
		name   string
		key    *Key
		claims string
		want   []error
	}{
		{"good", ours, `{"sub":"a","iss":"https://a.example","aud":"chat","exp":` + date(now+60) + `}`, nil},
		{"all at once", other, `{"iss":"https://b.example","aud":["x"],"iat":` + date(now+60) + `,"nbf":` + date(now+60) + `,"exp":` + date(now-60) + `}`,
			[]error{ErrSignature, ErrIssuedInFuture, ErrNotYetValid, ErrExpired, ErrClaims, ErrIssuer, ErrAudience, ErrClaims}},
		{"a claim of another type", other, `{"sub":1}`, []error{ErrSignature, ErrClaims}},
		{"no exp is not an expired one", ours, `{"sub":"a","iss":"https://a.example","aud":"chat"}`, []error{ErrClaims}},
	} {
		t.Run(test.name, func(t *testing.T) {
			raw := mint(t, test.key, headerOf(HS256), test.claims)
			got := v.Explain(t.Context(), raw)
			if !slices.EqualFunc(got, test.want, errors.Is) {
				t.Errorf("Explain: %q, want %q", got, test.want)
			}
			_, err := v.Verify(t.Context(), raw)
			if (err == nil) != (len(got) == 0) || err != nil && err.Error() != got[0].Error() {
				t.Errorf("Verify: %v, Explain: %q", err, got)
			}
		})
	}
	qualified := newVerifier(t, VerifierConfig{Issuer: "https://a.example", Namespace: "a"}, ours)
	long := mint(t, ours, headerOf(HS256), `{"sub":"`+strings.Repeat("a", maxNameSize)+`","iss":"https://a.example","exp":`+soon()+`}`)
	if got := qualified.Explain(t.Context(), long); len(got) != 1 || !errors.Is(got[0], ErrClaims) {
		t.Errorf("Explain of a name that is too long with its namespace: %q", got)
	}
	otherType := mint(t, ours, `{"alg":"HS256","typ":"x"}`, `{"sub":"a","iss":"https://a.example","aud":"chat","exp":`+soon()+`}`)
	if got := v.Explain(t.Context(), otherType); len(got) != 1 || got[0].Error() != errMediaType.Error() {
		t.Errorf("Explain of another typ: %q", got)
	}
	if got := v.Explain(t.Context(), "a.b"); len(got) != 1 || !errors.Is(got[0], ErrSegments) {
		t.Errorf("Explain of no token: %q", got)
	}
}
