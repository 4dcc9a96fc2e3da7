package token

import (
	"reflect"
	"strings"
	"testing"
)

// headerOfLength returns a valid header of n bytes.
func headerOfLength(n int) string {
	h := headerWith(HS256, `"x":""`)
	return strings.Replace(h, `""`, `"`+strings.Repeat("x", n-len(h))+`"`, 1)
}

// TestKeptHeaderIsBounded checks that a scratch in the pool does not hold a
// very long header.
func TestKeptHeaderIsBounded(t *testing.T) {
	s := &scratch{object: newObjectReader()}
	read := func(header string) {
		t.Helper()
		if _, err := s.readJWS(encode([]byte(header))+".e30.AAAA", limitMaxBytes); err != nil {
			t.Fatal(err)
		}
	}
	kept := headerOfLength(maxKeptHeader)
	read(kept)
	if string(s.header) != kept {
		t.Errorf("a header of %d bytes is not kept", len(kept))
	}
	for _, n := range []int{maxKeptHeader + 1, 4 << 10, 40 << 10} {
		read(headerOfLength(n))
		if string(s.header) != kept || cap(s.header) > 2*maxKeptHeader {
			t.Errorf("a header of %d bytes is kept, in %d", n, cap(s.header))
		}
	}
}

// TestRememberedHeader checks that a scratch that has read other tokens gives
// the same results as a new one. It reads three tokens in every order, and then
// the first again.
func TestRememberedHeader(t *testing.T) {
	long := strings.Repeat("x", maxKeptHeader)
	var raws []string
	for _, header := range []string{
		`{"alg":"HS256","kid":"a","typ":"JWT"}`,
		`{"alg":"HS256","kid":"b","typ":"JWT"}`,
		`{"alg":"HS512","kid":"a","typ":"JWT"}`,
		`{"alg":"HS256","kid":"a","typ":"JWS"}`,
		`{"alg":"HS256","typ":"JWT"}`,
		`{"alg":"ES256","kid":"a"}`,
		`{"alg":"none"}`,
		`{"alg":"HS256","kid":"\u0061a"}`,
		`{"alg":"HS256","kid":"a","typ":"JWT"}    `,
		`{"alg":"HS256","kid":"a","typ":"JWT"}{}`,
		`{"alg":"HS256","kid":"c","typ":"at+jwt","x":"` + long + `"}`,
		`{"x":"` + strings.Repeat(long, 8) + `","alg":"ES512","kid":"d"}`,
		`{"alg":"HS256","kid":"b","typ":1}`,
		`{"alg":"HS256","kid":"b","crit":["x"]}`,
	} {
		payload := encode([]byte(`{"x":"` + long + `"}`))
		raws = append(raws, encode([]byte(header))+"."+payload+".AAAA")
	}
	read := func(s *scratch, raw string) (parameters, bool) {
		j, err := s.readJWS(raw, limitMaxBytes)
		if err != nil {
			return parameters{}, false
		}
		return j.parameters, true
	}
	type reading struct {
		parameters
		ok bool
	}
	want := map[string]reading{}
	for _, raw := range raws {
		p, ok := read(&scratch{object: newObjectReader()}, raw)
		want[raw] = reading{p, ok}
	}
	for _, a := range raws {
		for _, b := range raws {
			for _, c := range raws {
				s := &scratch{object: newObjectReader()}
				for _, raw := range []string{a, b, c, a} {
					if p, ok := read(s, raw); !reflect.DeepEqual(reading{p, ok}, want[raw]) {
						t.Fatalf("%.60s is read as %s %q %q, %v", raw, p.alg, p.kid, p.typ, ok)
					}
				}
			}
		}
	}
}

// TestHeadersOfTwoVerifiers checks that verifiers that share the pool of
// remembered headers each follow their own rules.
func TestHeadersOfTwoVerifiers(t *testing.T) {
	first, second, third := named(testKey(HS256), "a"), named(testKey(HS512), "b"), named(testKey(HS256), "b")
	set := newVerifier(t, VerifierConfig{MediaType: "JWT"}, first, second)
	lone := newVerifier(t, VerifierConfig{MediaType: "at+jwt"}, third)
	header := func(key *Key, typ string) string {
		return headerWith(key.alg, `"kid":"`+key.id+`","typ":"`+typ+`"`)
	}
	a := mint(t, first, header(first, "JWT"), valid(""))
	b := mint(t, second, header(second, "JWT"), valid(""))
	c := mint(t, third, header(third, "at+jwt"), valid(""))
	swapped := mint(t, first, header(third, "JWT"), valid(""))
	for range 20 {
		wantAccepted(t, set, a)
		wantAccepted(t, lone, c)
		wantAccepted(t, set, b)
		wantRefused(t, lone, a, ErrSignature)
		wantRefused(t, lone, b, ErrAlgorithm)
		wantRefused(t, lone, swapped, ErrMalformed)
		wantRefused(t, set, swapped, ErrSignature)
		wantRefused(t, set, c, ErrSignature)
	}
}
