package token_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"wsauth/token"
)

func ExampleNewSecretVerifier() {
	secret := []byte("use 32 random bytes or more here!")
	verifier, err := token.NewSecretVerifier(secret)
	if err != nil {
		log.Fatal(err)
	}

	// Any library that has the secret can issue the tokens.
	key, err := token.NewKey(token.HS256, secret, token.KeyOptions{})
	if err != nil {
		log.Fatal(err)
	}
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: key})
	if err != nil {
		log.Fatal(err)
	}
	access, err := issuer.Access("ada", token.Options{})
	if err != nil {
		log.Fatal(err)
	}
	claims, err := verifier.Verify(context.Background(), access.Raw)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(claims.Subject, claims.Type)

	_, err = token.NewSecretVerifier([]byte("secret"))
	fmt.Println(err)
	// Output:
	// ada access
	// token: HS256 key: the secret is well known from tutorials
}

func ExampleNewVerifier() {
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		log.Fatal(err)
	}
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: key, Issuer: "https://login.example"})
	if err != nil {
		log.Fatal(err)
	}
	tok, err := issuer.Access("alice", token.Options{})
	if err != nil {
		log.Fatal(err)
	}

	// A verifier needs only the public half.
	public, err := key.Public()
	if err != nil {
		log.Fatal(err)
	}
	keys, err := token.NewKeySet(public)
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := token.NewVerifier(token.VerifierConfig{Keys: keys, Issuer: "https://login.example"})
	if err != nil {
		log.Fatal(err)
	}
	claims, err := verifier.Verify(context.Background(), tok.Raw)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(claims.Subject, claims.Type)

	_, err = verifier.Verify(context.Background(), tok.Raw+"A")
	fmt.Println(errors.Is(err, token.ErrSignature) || errors.Is(err, token.ErrMalformed))
	// Output:
	// alice access
	// true
}

func ExampleIssuer_Access() {
	key, err := token.GenerateKey(token.HS256)
	if err != nil {
		log.Fatal(err)
	}
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: key})
	if err != nil {
		log.Fatal(err)
	}
	tok, err := issuer.Access("alice", token.Options{
		Fresh:  true,
		Claims: map[string]any{"role": "admin"},
	})
	if err != nil {
		log.Fatal(err)
	}
	var more struct {
		Role string `json:"role"`
	}
	if err := tok.Claims.Decode(&more); err != nil {
		log.Fatal(err)
	}
	fmt.Println(tok.Claims.Subject, tok.Claims.Fresh, more.Role, tok.Claims.ExpiresAt.Sub(tok.Claims.IssuedAt))
	// Output: alice true admin 15m0s
}

func ExampleParsePEM() {
	key, err := token.ParsePEM(token.EdDSA, []byte(`-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
`), token.KeyOptions{ID: "2026-01"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key, key.CanSign())
	fmt.Println(string(key.JWK()))
	// Output: token.Key(public EdDSA "2026-01") false
	// {"kty":"OKP","kid":"2026-01","alg":"EdDSA","use":"sig","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
}

func ExampleGenerateKey() {
	key, err := token.GenerateKey(token.EdDSA)
	if err != nil {
		log.Fatal(err)
	}
	keys, err := token.NewKeySet(key)
	if err != nil {
		log.Fatal(err)
	}
	published, _, err := token.ParseKeySet(keys.PublicJWKS())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key.CanSign(), published.Keys()[0].CanSign(), published.Keys()[0].ID() == key.ID())
	// Output: true false true
}
