package jwks_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"wsauth/token"
	"wsauth/token/jwks"
)

// newProvider starts a provider that publishes its keys and issues tokens
// without the typ of RFC 9068.
func newProvider() (server *httptest.Server, accessToken string) {
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		log.Fatal(err)
	}
	keys, err := token.NewKeySet(key)
	if err != nil {
		log.Fatal(err)
	}
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(keys.PublicJWKS())
	}))
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: key, Issuer: server.URL, Audience: []string{"chat"}})
	if err != nil {
		log.Fatal(err)
	}
	access, err := issuer.Access("ada", token.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return server, access.Raw
}

func ExampleNewVerifier() {
	provider, accessToken := newProvider()
	defer provider.Close()
	ctx, cancel := context.WithCancel(context.Background()) // canceled when the server stops
	defer cancel()

	verifier, err := jwks.NewVerifier(ctx, jwks.Config{
		Issuer:    provider.URL,
		URL:       provider.URL + "/keys",
		Audience:  []string{"chat"},
		MediaType: "JWT",
	})
	if err != nil {
		log.Fatal(err)
	}
	claims, err := verifier.Verify(ctx, accessToken)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(claims.Subject)
	// Output: ada
}

// The keys of a provider can be used with other rules.
func ExampleNew() {
	provider, accessToken := newProvider()
	defer provider.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	keys, err := jwks.New(jwks.Config{URL: provider.URL + "/keys"})
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = keys.Run(ctx) }() // keeps them up to date
	verifier, err := token.NewVerifier(token.VerifierConfig{
		Keys:     keys,
		Issuer:   provider.URL,
		Audience: []string{"chat"},
		Profile:  &token.Profile{Require: map[string][]string{"type": {"access"}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	claims, err := verifier.Verify(ctx, accessToken)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(claims.Subject)
	// Output: ada
}
