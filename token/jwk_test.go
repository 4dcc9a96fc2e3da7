package token

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestQ9_ParseJWK checks how ParseJWK handles a valid JWK with one member
// changed.
func TestQ9_ParseJWK(t *testing.T) {
	for _, tt := range []struct {
		name   string
		key    *Key
		change map[string]any // nil removes a member
		opts   KeyOptions
		want   string // part of the error; empty: accepted
	}{
		{"as it is", testKey(ES256), nil, KeyOptions{}, ""},
		{"unknown member", testKey(ES256), map[string]any{"x5c": []string{"MIIB"}, "nbf": 1}, KeyOptions{}, ""},
		{"ID", testKey(ES256), map[string]any{"kid": "x"}, KeyOptions{ID: "mine"}, ""},
		{"alg given", testKey(ES256), map[string]any{"alg": nil}, KeyOptions{Algorithm: ES256}, ""},
		{"alg from curve", testKey(ES512), map[string]any{"alg": nil}, KeyOptions{}, ""},
		{"alg from Ed25519", testKey(EdDSA), map[string]any{"alg": nil}, KeyOptions{}, ""},
		{"alg RS256 by default", testKey(RS256), map[string]any{"alg": nil}, KeyOptions{}, ""},
		{"alg of a secret", testKey(HS256), map[string]any{"alg": nil}, KeyOptions{}, "alg is missing"},
		{"alg of a secret given", testKey(HS256), map[string]any{"alg": nil}, KeyOptions{Algorithm: HS256}, ""},
		{"alg differs", testKey(RS256), nil, KeyOptions{Algorithm: PS256}, "not PS256"},
		{"alg unknown", testKey(RS256), map[string]any{"alg": "RSA-OAEP"}, KeyOptions{}, "unknown"},
		{"alg none", testKey(RS256), map[string]any{"alg": "none"}, KeyOptions{}, "unknown"},
		{"alg of another family", testKey(RS256), map[string]any{"alg": "ES256"}, KeyOptions{}, "RSA key"},
		{"alg of another curve", testKey(ES256), map[string]any{"alg": "ES384"}, KeyOptions{}, "P-384"},
		{"HMAC with a public key", testKey(ES256), map[string]any{"alg": "HS256"}, KeyOptions{}, "ECDSA"},
		{"kty missing", testKey(ES256), map[string]any{"kty": nil}, KeyOptions{}, "kty"},
		{"kty case", testKey(ES256), map[string]any{"kty": "ec"}, KeyOptions{}, "kty"},
		{"kty type", testKey(ES256), map[string]any{"kty": 1}, KeyOptions{}, "wrong type"},
		{"kid type", testKey(ES256), map[string]any{"kid": 1}, KeyOptions{}, "wrong type"},
		{"kid control", testKey(ES256), map[string]any{"kid": "a\n"}, KeyOptions{}, "control"},
		{"kid long", testKey(ES256), map[string]any{"kid": strings.Repeat("k", 257)}, KeyOptions{}, "256"},
		{"crv unknown", testKey(ES256), map[string]any{"crv": "secp256k1"}, KeyOptions{}, "crv"},
		{"crv Ed448", testKey(EdDSA), map[string]any{"crv": "Ed448"}, KeyOptions{}, "crv"},
		{"crv X25519", testKey(EdDSA), map[string]any{"crv": "X25519"}, KeyOptions{}, "crv"},
		{"use sig", testKey(RS256), map[string]any{"use": "sig"}, KeyOptions{}, ""},
		{"use enc", testKey(RS256), map[string]any{"use": "enc"}, KeyOptions{}, "use"},
		{"use missing", testKey(RS256), map[string]any{"use": nil}, KeyOptions{}, ""},
		{"key_ops", testKey(RS256), map[string]any{"key_ops": []string{"sign", "verify"}}, KeyOptions{}, ""},
		{"key_ops empty", testKey(RS256), map[string]any{"key_ops": []string{}}, KeyOptions{}, "key_ops"},
		{"key_ops verify", testKey(RS256), map[string]any{"key_ops": []string{"verify"}}, KeyOptions{}, "lacks sign"},
		{"key_ops encrypt", testKey(RS256), map[string]any{"key_ops": []string{"sign", "encrypt"}}, KeyOptions{}, "key_ops"},
		{"key_ops of a public key", must(testKey(RS256).Public()), map[string]any{"key_ops": []string{"sign"}}, KeyOptions{}, "lacks verify"},
		{"x missing", testKey(ES256), map[string]any{"x": nil}, KeyOptions{}, "x is missing"},
		{"x short", testKey(ES256), map[string]any{"x": "AAAA"}, KeyOptions{}, "32 bytes"},
		{"x not on the curve", testKey(ES256), map[string]any{"x": encode(make([]byte, 32))}, KeyOptions{}, "curve"},
		{"x padded", testKey(EdDSA), map[string]any{"x": encode(make([]byte, 32)) + "="}, KeyOptions{}, "base64url"},
		{"x of small order", testKey(EdDSA), map[string]any{"x": encode(make([]byte, 32)), "d": nil}, KeyOptions{}, "small order"},
		{"d of another", testKey(ES256), map[string]any{"d": encode(append(make([]byte, 31), 1))}, KeyOptions{}, "belong"},
		{"d of another Ed25519", testKey(EdDSA), map[string]any{"d": encode(make([]byte, 32))}, KeyOptions{}, "belong"},
		{"d not base64url", testKey(ES256), map[string]any{"d": "A="}, KeyOptions{}, "base64url"},
		{"d of Ed25519 not base64url", testKey(EdDSA), map[string]any{"d": "A="}, KeyOptions{}, "base64url"},
		{"d short", testKey(EdDSA), map[string]any{"d": "AAAA"}, KeyOptions{}, "32 bytes"},
		{"d zero", testKey(ES256), map[string]any{"d": encode(make([]byte, 32))}, KeyOptions{}, "belong"},
		{"n missing", testKey(RS256), map[string]any{"n": nil}, KeyOptions{}, "n is missing"},
		{"e of 31 bits", must(testKey(RS256).Public()), map[string]any{"e": "f____w"}, KeyOptions{}, ""},
		{"e large", testKey(RS256), map[string]any{"e": "AQAAAAE"}, KeyOptions{}, "31 bits"},
		{"e one", testKey(RS256), map[string]any{"e": "AQ"}, KeyOptions{}, "exponent"},
		{"e zero", testKey(RS256), map[string]any{"e": "AA"}, KeyOptions{}, "exponent"},
		{"p missing", testKey(RS256), map[string]any{"p": nil}, KeyOptions{}, "p is missing"},
		{"p wrong", testKey(RS256), map[string]any{"p": "Aw"}, KeyOptions{}, "contradicts"},
		{"oth", testKey(RS256), map[string]any{"oth": []any{}}, KeyOptions{}, "two primes"},
		{"k missing", testKey(HS256), map[string]any{"k": nil}, KeyOptions{}, "k is missing"},
		{"k short", testKey(HS256), map[string]any{"k": "AAAA"}, KeyOptions{}, "3 bytes"},
		{"k line break", testKey(HS256), map[string]any{"k": encode(make([]byte, 32)) + "\n"}, KeyOptions{}, "base64url"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var members map[string]any
			if err := json.Unmarshal(tt.key.JWK(), &members); err != nil {
				t.Fatal(err)
			}
			for name, value := range tt.change {
				if members[name] = value; value == nil {
					delete(members, name)
				}
			}
			data := must(json.Marshal(members))
			key, err := ParseJWK(data, tt.opts)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want one with %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if key.Algorithm() != tt.key.Algorithm() || key.CanSign() != tt.key.CanSign() || tt.opts.ID != "" && key.ID() != tt.opts.ID {
				t.Errorf("got %s", key)
			}
		})
	}
	for _, data := range []string{"", "null", "[]", `"x"`, `{"kty":"OKP","kty":"oct"}`, "{\"kid\":\"\xff\"}", strings.Repeat(" ", maxKeyBytes+1)} {
		if _, err := ParseJWK([]byte(data), KeyOptions{}); err == nil {
			t.Errorf("%.20q accepted", data)
		}
	}
}
