package gateway

import (
	"context"
	"net/http"

	"wsauth"
	"wsauth/idp"
	"wsauth/token"
)

// withProviders is the verifier of our own tokens and of those of the providers.
func withProviders(own *token.Verifier, providers []*idp.Provider) (wsauth.Verifier, error) {
	if len(providers) == 0 {
		return own, nil
	}
	all := []*token.Verifier{own}
	for _, p := range providers {
		all = append(all, p.Verifier())
	}
	return token.NewVerifiers(all...)
}

// providerEndpoints are the addresses at which providers say that a session has ended. There are none without providers.
func (g *Gateway) providerEndpoints(c Config) ([]endpoint, error) {
	if len(c.Providers) == 0 {
		return nil, nil
	}
	h, err := idp.NewHandler(g.guard, g.log, c.Providers...)
	if err != nil {
		return nil, err
	}
	return []endpoint{
		{http.MethodPost, c.AuthPrefix + "/backchannel-logout", http.HandlerFunc(h.Logout)},
		{http.MethodPost, c.AuthPrefix + "/events", http.HandlerFunc(h.Event)},
	}, nil
}

// follow keeps the keys of the providers up to date until the gateway is shut down.
func (g *Gateway) follow(providers []*idp.Provider) {
	ctx, stop := context.WithCancel(context.Background())
	g.stopProviders = stop
	for _, p := range providers {
		g.following.Go(func() { _ = p.Run(ctx) }) // its error is that of ctx
	}
}
