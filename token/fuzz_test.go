package token

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v3/jwa"
	jwxjws "github.com/lestrrat-go/jwx/v3/jws"
)

// seeds calls add for each seed in list. The list must not be empty.
func seeds[T any](f *testing.F, list []T, add func(T)) {
	f.Helper()
	if len(list) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range list {
		add(s)
	}
}

// FuzzVerify checks that golang-jwt, go-jose and jwx accept every token that we
// accept, with the same payload. It signs the header and the payload, to reach
// the checks after the signature, and also verifies them without a signature.
func FuzzVerify(f *testing.F) {
	type pair struct{ header, payload string }
	seeds(f, []pair{
		{headerOf(HS256), valid("")},
		{headerWith(HS256, `"kid":"k","typ":"at+jwt","x":{"y":[1,2]}`), valid(`,"aud":["us"],"iat":` + strconv.FormatInt(time.Now().Unix(), 10) + `,"nbf":1.5e3,"x":{"y":null}`)},
		{`{"alg":"HS256","ALG":"none"}`, valid(`,"SUB":"bob"`)},
		{`{"alg":"none"}`, `{"sub":"a","exp":1e99}`},
		{headerWith(HS256, `"crit":["b64"],"b64":false`), "not base64"},
		{headerOf(HS256), valid(`,"jti":"\ud83d\ude00","x":"\ud800"`)},
		{"", ""},
		{"\xff", "[]"},
	}, func(p pair) { f.Add(p.header, p.payload) })

	key := testKey(HS256)
	secret := key.material.(*hmacSecret).secret
	v := newVerifier(f, VerifierConfig{}, key)
	f.Fuzz(func(t *testing.T, header, payload string) {
		check := func(raw string) { checkAgainstPeers(t, v, secret, raw) }
		check(mint(t, key, header, payload))
		check(mintSegments(t, key, header, payload))
		check(header + "." + payload)
		check(header)
	})
}

func checkAgainstPeers(t *testing.T, v *Verifier, secret []byte, raw string) {
	claims, err := v.Verify(context.Background(), raw)
	if (claims == nil) == (err == nil) {
		t.Fatalf("claims %v and error %v", claims, err)
	}
	if why := v.Explain(context.Background(), raw); (len(why) == 0) != (err == nil) || err != nil && why[0].Error() != err.Error() {
		t.Fatalf("refused for %v, explained by %q", err, why)
	}
	if err != nil {
		if _, ok := err.(*Error); !ok {
			t.Fatalf("error of type %T", err)
		}
		return
	}
	if claims.Subject == "" || !claims.ExpiresAt.After(time.Now().Add(-time.Second)) {
		t.Fatalf("accepted %s", claims)
	}
	again, err := v.Verify(context.Background(), raw)
	if err != nil || !bytes.Equal(again.Payload(), claims.Payload()) {
		t.Fatalf("again: %v", err)
	}

	object, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		t.Fatalf("go-jose does not read it: %v", err)
	}
	payload, err := object.Verify(secret)
	if err != nil || !bytes.Equal(payload, claims.Payload()) {
		t.Fatalf("go-jose: %v, payload %q", err, payload)
	}
	payload, err = jwxjws.Verify([]byte(raw), jwxjws.WithKey(jwa.HS256(), secret))
	if err != nil || !bytes.Equal(payload, claims.Payload()) {
		t.Fatalf("jwx: %v, payload %q", err, payload)
	}
	parsed, err := jwt.Parse(raw, func(*jwt.Token) (any, error) { return secret, nil }, jwt.WithValidMethods([]string{"HS256"}))
	if err != nil {
		t.Fatalf("golang-jwt: %v", err)
	}
	theirs := parsed.Claims.(jwt.MapClaims)
	if sub, _ := theirs.GetSubject(); sub != claims.Subject {
		t.Fatalf("golang-jwt: sub %q, ours %q", sub, claims.Subject)
	}
	if exp, _ := theirs.GetExpirationTime(); exp == nil || exp.Sub(claims.ExpiresAt).Abs() > time.Second {
		t.Fatalf("golang-jwt: exp %v, ours %v", exp, claims.ExpiresAt)
	}
	if aud, _ := theirs.GetAudience(); len(aud) != len(claims.Audience) {
		t.Fatalf("golang-jwt: aud %q, ours %q", aud, claims.Audience)
	}
}

// FuzzVerifyMemory checks that verifying a text of any length allocates at most
// a small multiple of the maximum length of a token.
func FuzzVerifyMemory(f *testing.F) {
	seeds(f, []string{
		"", "...", strings.Repeat(".", 9000), strings.Repeat("a", 9000), "e30.e30.e30",
		encode([]byte(`{"alg":"HS256"}`)) + "." + strings.Repeat("A", 8000) + ".",
		encode([]byte(headerWith(HS256, `"x":`+strings.Repeat("[", 3000)))) + ".e30.AAAA",
	}, func(s string) { f.Add(s) })
	v := newVerifier(f, VerifierConfig{}, testKey(HS256))
	f.Fuzz(func(t *testing.T, raw string) {
		if got := allocatedBytes(20, func() { _, _ = verify(v, raw) }); got > 8*defaultMaxBytes {
			t.Errorf("%d bytes for a token of %d", got, len(raw))
		}
	})
}

// roundTrip checks that an accepted key is unchanged after it is written and
// parsed again.
func roundTrip(t *testing.T, key *Key) {
	again, err := ParseJWK(key.JWK(), KeyOptions{InsecureWeakSecret: true})
	if err != nil {
		t.Fatalf("%s: the JWK is refused: %v", key, err)
	}
	if !bytes.Equal(again.JWK(), key.JWK()) || again.ID() != key.ID() || again.Algorithm() != key.Algorithm() || again.CanSign() != key.CanSign() {
		t.Fatalf("%s came back as %s", key, again)
	}
	if key.CanSign() && !again.verify([]byte("x"), must(key.sign([]byte("x")))) {
		t.Fatalf("%s came back as another key", key)
	}
}

func jwkSeeds() (list [][]byte) {
	for _, alg := range algorithms {
		list = append(list, named(testKey(alg), "k").JWK())
		if public, err := testKey(alg).Public(); err == nil {
			list = append(list, public.JWK())
		}
	}
	return append(list, []byte(rfc7515HMAC), []byte(rfc7515P521), []byte(rfc8037), []byte(`{"kty":"oct"}`), []byte("null"), nil)
}

func FuzzParseJWK(f *testing.F) {
	seeds(f, jwkSeeds(), func(b []byte) { f.Add(b, "") })
	f.Add([]byte(rfc7515HMAC), "HS256")
	f.Fuzz(func(t *testing.T, data []byte, alg string) {
		key, err := ParseJWK(data, KeyOptions{Algorithm: Algorithm(alg), InsecureWeakSecret: true})
		if err == nil {
			roundTrip(t, key)
		}
	})
}

func FuzzParseKeySet(f *testing.F) {
	var sets [][]byte
	for _, jwk := range jwkSeeds() {
		sets = append(sets, fmt.Appendf(nil, `{"keys":[%s]}`, jwk))
	}
	sets = append(sets, must(NewKeySet(named(testKey(ES256), "a"), named(testKey(RS256), "b"))).PublicJWKS(), []byte(`{"keys":[]}`), nil)
	seeds(f, sets, func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, data []byte) {
		set, _, err := ParseKeySet(data)
		if err != nil {
			return
		}
		for _, key := range set.Keys() {
			roundTrip(t, key)
		}
		public, faults, err := ParseKeySet(set.PublicJWKS())
		if set.Keys()[0].public() == nil { // a set of secrets: it contains no other keys
			return
		}
		if err != nil || len(faults) > 0 || len(public.Keys()) != len(set.Keys()) {
			t.Fatalf("the published set: %v %v", faults, err)
		}
	})
}

func FuzzParsePEM(f *testing.F) {
	for _, alg := range []Algorithm{RS256, ES256, ES384, ES512, EdDSA} {
		seeds(f, pemSeeds(testKey(alg)), func(b []byte) { f.Add(string(alg), b) })
	}
	f.Fuzz(func(t *testing.T, alg string, data []byte) {
		key, err := ParsePEM(Algorithm(alg), data, KeyOptions{})
		if err == nil {
			roundTrip(t, key)
		}
	})
}

// FuzzIssue checks that every issued token is accepted, with the same claims.
func FuzzIssue(f *testing.F) {
	type input struct {
		subject, session, audience, name, value string
		ttl                                     int64
	}
	seeds(f, []input{
		{"alice", "s", "us", "role", `"admin"`, 60},
		{"Zoë", "", "", "x", `{"b":[1,2.5,null],"a":"\u2028"}`, 0},
		{"\x00", "a\n", "\xff", "SUB", "1", -1},
		{"a", "", "a", "", "1e300", 1 << 40},
		{"a", "", "", "\ufeff", `[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]`, 1},
	}, func(i input) { f.Add(i.subject, i.session, i.audience, i.name, i.value, i.ttl) })
	key := named(testKey(HS256), "k")
	issuer := must(NewIssuer(IssuerConfig{Key: key, Issuer: "me"}))
	f.Fuzz(func(t *testing.T, subject, session, audience, name, value string, ttl int64) {
		var extra any
		if json.Unmarshal([]byte(value), &extra) != nil {
			extra = value
		}
		o := Options{Fresh: true, CSRF: true, SessionID: session, TTL: time.Duration(ttl) * time.Second,
			Claims: map[string]any{name: extra}, Headers: map[string]any{name: extra}}
		c := VerifierConfig{Issuer: "me"}
		if audience != "" {
			o.Audience, c.Audience = []string{audience, "other"}, []string{audience}
		}
		tok, err := issuer.Access(subject, o)
		if err != nil {
			return
		}
		claims, err := verify(newVerifier(t, c, key), tok.Raw)
		if errors.Is(err, ErrExpired) && !time.Now().Before(tok.Claims.ExpiresAt) { // it has expired since
			return
		}
		if err != nil {
			t.Fatalf("issued and refused: %v\n%s", err, tok.Claims.Payload())
		}
		if diff := cmp.Diff(tok.Claims, claims, cmp.AllowUnexported(Claims{})); diff != "" {
			t.Fatal(diff)
		}
		if claims.Subject != subject || claims.SessionID != session || !claims.Fresh || claims.Type != TypeAccess {
			t.Fatalf("got %s", claims)
		}
	})
}
