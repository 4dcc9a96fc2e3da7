package remotekeys_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"wsauth/token"
	"wsauth/token/remotekeys"
)

// The keys of a provider are found through its discovery document, and kept up
// to date for as long as Run runs.
func Example() {
	signing, err := token.GenerateKey(token.ES256)
	if err != nil {
		panic(err)
	}
	set, err := token.NewKeySet(signing)
	if err != nil {
		panic(err)
	}
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch issuer := "http://" + r.Host; r.URL.Path {
		case "/.well-known/openid-configuration":
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, issuer, issuer+"/keys")
		case "/keys":
			_, _ = w.Write(set.PublicJWKS())
		}
	}))
	defer provider.Close()

	keys, err := remotekeys.New(remotekeys.Config{Issuer: provider.URL})
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- keys.Run(ctx) }()

	verifier, err := token.NewVerifier(token.VerifierConfig{Keys: keys, Issuer: provider.URL, Audience: []string{"chat"}})
	if err != nil {
		panic(err)
	}
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: signing, Issuer: provider.URL, Audience: []string{"chat"}})
	if err != nil {
		panic(err)
	}
	signed, err := issuer.Access("ada", token.Options{})
	if err != nil {
		panic(err)
	}
	claims, err := verifier.Verify(ctx, signed.Raw)
	if err != nil {
		panic(err)
	}
	fmt.Println(claims.Subject, "by", keys.Status().Keys, "key")
	stop()
	fmt.Println(<-ended)
	// Output:
	// ada by 1 key
	// context canceled
}
