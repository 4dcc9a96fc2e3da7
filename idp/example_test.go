package idp_test

import (
	"context"
	"log"
	"net/http"

	"wsauth"
	"wsauth/idp"
	"wsauth/store"
	"wsauth/store/memory"
)

// A server trusts a Keycloak realm. Its sockets end when their access token
// expires, or when their session ends at Keycloak.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	provider, err := idp.New(idp.Config{
		Preset: idp.Keycloak, Issuer: "https://sso.example/realms/shop", Audience: []string{"chat"},
	})
	if err != nil {
		log.Print(err)
		return
	}
	go func() { _ = provider.Run(ctx) }() // keeps the keys up to date
	guard, err := wsauth.New(wsauth.Config{Verifier: provider.Verifier(), Revocations: memory.New(store.Limits{})})
	if err != nil {
		log.Print(err)
		return
	}
	ended, err := idp.NewHandler(guard, nil, provider)
	if err != nil {
		log.Print(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /backchannel-logout", ended.Logout) // register its URL at the provider
	mux.Handle("/ws", guard.Require(wsauth.Access)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		// any WebSocket library
	})))
}
