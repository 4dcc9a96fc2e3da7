package proxy

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"wsauth/token"
)

// countedKeys counts how often its keys are requested.
type countedKeys struct {
	Keys
	asked int
}

func (k *countedKeys) KeySet(ctx context.Context, kid string) (*token.KeySet, error) {
	k.asked++
	return k.Keys.KeySet(ctx, kid)
}

// TestOwnTokensAreFoundCheaply checks that, for any request, the keys are
// requested once, and few signatures are verified if only they can identify a
// token.
func TestOwnTokensAreFoundCheaply(t *testing.T) {
	named := must(token.GenerateKey(token.HS256))
	nameless := must(token.NewKey(token.HS256, []byte("01234567890123456789012345678901"), token.KeyOptions{}))
	words := map[string]string{
		"starts":  strings.Repeat("eyJ.eyJ. ", 3600),
		"escaped": strings.Repeat("%20eyJ.eyJ. ", 2700),
		"nested":  strings.Repeat("ZXlK ", 6500),
		"members": strings.Repeat(unsignedJWT(`{"kid":"theirs"}`, `{}`)+" ", 600),
		"tokens":  strings.Repeat(unsignedJWT(`{"alg":"HS256"}`, `{"sub":"ada"}`)+" ", 500),
	}
	for key, limit := range map[*token.Key]int{named: 1, nameless: 1 + maxVerified} {
		for name, words := range words {
			for field, separator := range map[string]string{"X-Custom": " ", "Cookie": ";", "Sec-Websocket-Protocol": ","} {
				keys := &countedKeys{Keys: must(token.NewKeySet(key))}
				own := ownTokens{keys: keys, verifier: must(token.NewVerifier(token.VerifierConfig{Keys: keys}))}
				r := &http.Request{URL: &url.URL{Path: "/x"}, Header: http.Header{field: {strings.ReplaceAll(words, " ", separator)}}}
				own.strip(r)
				if keys.asked > limit {
					t.Errorf("%s in %s: %d requests for keys, want at most %d", name, field, keys.asked, limit)
				}
				if got := r.Header.Get(field); key == named && got != strings.ReplaceAll(words, " ", separator) {
					t.Errorf("%s in %s: %d of %d bytes are left, want all but the token", name, field, len(got), len(words))
				}
			}
		}
	}
}

// FuzzOwnTokens checks that our tokens are removed wherever they are, and that
// a request without one is unchanged.
func FuzzOwnTokens(f *testing.F) {
	key := must(token.GenerateKey(token.HS256))
	set := must(token.NewKeySet(key))
	verifier := must(token.NewVerifier(token.VerifierConfig{Keys: set}))
	own := ownTokens{keys: set, verifier: verifier}
	raw := must(must(token.NewIssuer(token.IssuerConfig{Key: set})).Access("ada", token.Options{})).Raw
	for _, s := range [][2]string{
		{"", ""}, {"a=1&token=", "&b=2"}, {"token=%", "%20"}, {"eyJ", "eyJ"}, {"eyJhbGciOiJub25lIn0.e30.", ".eyJ"}, {"; a=", "; "}, {"bearer, ", ", chat"}, {"ZXlK", ""}, {"%4", "%"},
		{strings.Repeat("eyJ", 20) + ".", ".."}, {"\xff", "\x80"}, {"wst_", "wst_"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		make := func(inserted string) *http.Request {
			s := before + inserted + after
			r := &http.Request{URL: &url.URL{Path: "/x", RawQuery: s}, RequestURI: "/x?" + s, Header: http.Header{}}
			for _, name := range []string{"Authorization", "Cookie", "Sec-Websocket-Protocol", "Referer"} {
				r.Header[name] = []string{"a", s}
			}
			return r.WithContext(context.Background())
		}
		r := make(raw)
		own.strip(r)
		if all := fmt.Sprint(r.URL, r.RequestURI, r.Header); strings.Contains(all, raw) {
			t.Errorf("%q, %q: %s still holds the token", before, after, all)
		}
		if plain := before + after; !strings.Contains(plain, "eyJ") && !strings.Contains(plain, "ZXlK") && !strings.Contains(plain, "%") && !strings.Contains(plain, "wst_") {
			r := make("")
			own.strip(r)
			if r.URL.RawQuery != plain || len(r.Header) != 4 || r.Header.Get("Cookie") != "a" || r.Header["Referer"][1] != plain {
				t.Errorf("%q: changed to %v %v, want it unchanged", plain, r.URL, r.Header)
			}
		}
	})
}

// must returns v if err is nil, and panics otherwise.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// unsignedJWT returns a token with this header and payload whose signature is
// not valid.
func unsignedJWT(header, payload string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2lnbmF0dXJl"
}
