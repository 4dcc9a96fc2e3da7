package token

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
	"testing"
)

func TestKeySet(t *testing.T) {
	es, rs, hs := testKey(ES256), testKey(RS256), testKey(HS256)
	many := func(n int, id string) (keys []*Key) {
		for i := range n {
			if id == "" {
				keys = append(keys, es)
			} else {
				keys = append(keys, named(es, fmt.Sprint(id, i)))
			}
		}
		return keys
	}
	for name, tt := range map[string]struct {
		keys []*Key
		want string // part of the error; empty: accepted
	}{
		"one":                 {[]*Key{es}, ""},
		"nameless":            {[]*Key{es, rs}, ""},
		"mixed with IDs":      {[]*Key{named(es, "a"), named(hs, "b")}, ""},
		"most nameless":       {many(7, ""), ""},
		"most named":          {many(256, "k"), ""},
		"empty":               {nil, "empty"},
		"nil":                 {[]*Key{es, nil}, "nil"},
		"zero":                {[]*Key{{}}, "nil"},
		"same ID":             {[]*Key{named(es, "a"), named(es, "a")}, `"a"`},
		"same ID, other alg":  {[]*Key{named(rs, "a"), named(testKey(PS256), "a"), named(es, "a")}, ""},
		"same ID, a secret":   {[]*Key{named(rs, "a"), named(hs, "a")}, `"a"`},
		"a secret first":      {[]*Key{named(hs, "a"), named(rs, "a")}, `"a"`},
		"two secrets":         {[]*Key{named(hs, "a"), named(testKey(HS512), "a")}, ""},
		"nameless of two":     {append(many(7, ""), rs), ""},
		"mixed without an ID": {[]*Key{es, named(hs, "b")}, "need IDs"},
		"mixed without IDs":   {[]*Key{es, hs}, "need IDs"},
		"too many nameless":   {many(8, ""), "without an ID"},
		"too many":            {many(257, "k"), "more than 256"},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := NewKeySet(tt.keys...)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want one with %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(set.Keys()) != len(tt.keys) {
				t.Errorf("%d keys", len(set.Keys()))
			}
			set.Keys()[0] = nil
			if set.Keys()[0] != tt.keys[0] {
				t.Error("Keys returns its own slice")
			}
		})
	}
}

// TestKeySetSelection checks which keys a kid selects.
func TestKeySetSelection(t *testing.T) {
	a, b, nameless := named(must(GenerateKey(ES256)), "a"), named(must(GenerateKey(ES256)), "b"), named(must(GenerateKey(ES256)), "")
	v := newVerifier(t, VerifierConfig{}, a, b, nameless, named(testKey(EdDSA), "e"))
	token := func(k *Key, kid string) string {
		if kid == "" {
			return mint(t, k, headerOf(k.alg), valid(""))
		}
		return mint(t, k, headerWith(k.alg, `"kid":"`+kid+`"`), valid(""))
	}
	wantAccepted(t, v, token(a, "a"))
	wantAccepted(t, v, token(b, "b"))
	wantAccepted(t, v, token(b, ""))
	wantAccepted(t, v, token(nameless, ""))
	wantAccepted(t, v, token(nameless, "a"))
	wantAccepted(t, v, token(nameless, "x"))
	wantRefused(t, v, token(a, "b"), ErrSignature)
	wantRefused(t, v, token(a, "A"), ErrSignature)
	wantRefused(t, v, token(a, "x"), ErrSignature)
	wantRefused(t, v, token(a, "e"), ErrSignature)

	// The alg of a token is signed, too, but each key verifies its own alg only.
	wantRefused(t, v, mint(t, a, headerOf(EdDSA), valid("")), ErrSignature)
	wantRefused(t, v, mint(t, a, headerWith(EdDSA, `"kid":"a"`), valid("")), ErrSignature)

	// With a mixed set, a token must name its key.
	mixed := newVerifier(t, VerifierConfig{}, a, named(testKey(HS256), "h"))
	wantAccepted(t, mixed, token(a, "a"))
	wantAccepted(t, mixed, token(testKey(HS256), "h"))
	wantRefused(t, mixed, token(a, ""), ErrSignature)
	wantRefused(t, mixed, token(testKey(HS256), ""), ErrSignature)
	wantRefused(t, mixed, token(testKey(HS256), "a"), ErrSignature)

	// Without a kid, at most eight keys are tried; with one, the key is found.
	var keys []*Key
	for i := range 10 {
		keys = append(keys, named(must(GenerateKey(EdDSA)), fmt.Sprint(i)))
	}
	long := newVerifier(t, VerifierConfig{}, keys...)
	wantAccepted(t, long, token(keys[7], ""))
	wantRefused(t, long, token(keys[8], ""), ErrSignature)
	wantAccepted(t, long, token(keys[8], "8"))
}

func TestParseKeySet(t *testing.T) {
	jwk := func(k *Key, id string) string { return string(named(k, id).JWK()) }
	set := func(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }
	es, rs, other := must(testKey(ES256).Public()), must(testKey(RS256).Public()), must(must(GenerateKey(ES256)).Public())
	for name, tt := range map[string]struct {
		data   string
		keys   int // 0: an error
		faults int
	}{
		"two":              {set(jwk(es, "a"), jwk(rs, "b")), 2, 0},
		"other members":    {`{"x":1,"keys":[` + jwk(es, "a") + `]}`, 1, 0},
		"one bad":          {set(jwk(es, "a"), `{"kty":"XX"}`), 1, 1},
		"bad in every way": {set(jwk(es, "a"), `null`, `1`, `"x"`, `[]`, `{}`, `{"kty":"oct","alg":"HS256","k":"AAAA"}`), 1, 6},
		"encryption key":   {set(jwk(es, "a"), strings.Replace(jwk(rs, "b"), `"sig"`, `"enc"`, 1)), 1, 1},
		"same ID":          {set(jwk(es, "a"), jwk(rs, "b"), jwk(other, "a")), 1, 1},
		"same ID alone":    {set(jwk(es, "a"), jwk(other, "a")), 0, 1},
		"same ID, two alg": {set(jwk(es, "a"), jwk(rs, "a"), jwk(must(testKey(PS256).Public()), "a")), 3, 0},
		"key twice":        {set(jwk(es, "a"), jwk(es, "a"), jwk(rs, "b"), jwk(es, "a")), 2, 0},
		"twice, no ID":     {set(jwk(es, ""), jwk(es, "")), 1, 0},
		"twice, no alg":    {set(jwk(rs, "a"), strings.Replace(jwk(rs, "a"), `"alg":"RS256",`, "", 1)), 1, 0},
		"secret's ID":      {set(jwk(rs, "a"), jwk(testKey(HS256), "a")), 0, 0},
		"Ed25519":          {set(strings.Replace(jwk(must(testKey(EdDSA).Public()), "a"), `"EdDSA"`, `"Ed25519"`, 1)), 1, 0},
		"secrets":          {set(jwk(testKey(HS256), "a")), 1, 0},
		"mixed":            {set(jwk(testKey(HS256), "a"), jwk(rs, "b")), 0, 0},
		"none usable":      {set(`{}`), 0, 1},
		"empty":            {set(), 0, 0},
		"no keys":          {`{}`, 0, 0},
		"null":             {`null`, 0, 0},
		"keys null":        {`{"keys":null}`, 0, 0},
		"a key":            {jwk(es, "a"), 0, 0},
		"array":            {`[` + jwk(es, "a") + `]`, 0, 0},
		"keys twice":       {`{"keys":[` + jwk(es, "a") + `],"keys":[]}`, 0, 0},
		"trailing":         {set(jwk(es, "a")) + "x", 0, 0},
		"too many":         {set(strings.Repeat("{},", 256) + "{}"), 0, 0},
		"too long":         {set(jwk(es, "a")) + strings.Repeat(" ", maxKeySetBytes), 0, 0},
		"without alg":      {set(`{"kty":"EC","crv":"P-256",` + strings.SplitN(jwk(es, ""), `"P-256",`, 2)[1]), 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, faults, err := ParseKeySet([]byte(tt.data))
			if len(faults) != tt.faults {
				t.Errorf("got errors %v, want %d", faults, tt.faults)
			}
			if tt.keys == 0 {
				want := cmp.Or(map[string]string{
					"same ID alone": "empty", "none usable": "empty", "empty": "empty", "mixed": "HMAC secrets among public keys", "secret's ID": `two keys with the ID "a"`,
					"too many": "more than 256 keys", "too long": "longer than 1 MiB",
				}[name], "not a JWK Set in strict JSON")
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, %v; want an error with %q", got, err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Keys()) != tt.keys {
				t.Errorf("%d keys, want %d", len(got.Keys()), tt.keys)
			}
		})
	}
}

func TestPublicJWKS(t *testing.T) {
	es := named(testKey(ES256), "a")
	set := must(NewKeySet(es, named(testKey(HS256), "h"), named(testKey(PS384), "ps")))
	data := set.PublicJWKS()
	for _, private := range []string{`"d"`, `"k"`, `"p"`, `"q"`, `"dp"`, `"dq"`, `"qi"`, `"oct"`} {
		if bytes.Contains(data, []byte(private+":")) || bytes.Contains(data, []byte(":"+private)) {
			t.Errorf("%s is published", private)
		}
	}
	again, faults, err := ParseKeySet(data)
	if err != nil || len(faults) != 0 {
		t.Fatal(err, faults)
	}
	if keys := again.Keys(); len(keys) != 2 || keys[0].ID() != "a" || keys[1].Algorithm() != PS384 || keys[0].CanSign() {
		t.Errorf("got %v", keys)
	}
	if !bytes.Equal(again.PublicJWKS(), data) {
		t.Error("the set does not come back")
	}
	if got := must(NewKeySet(testKey(HS256))).PublicJWKS(); string(got) != `{"keys":[]}` {
		t.Errorf("secrets are published as %s", got)
	}
}
