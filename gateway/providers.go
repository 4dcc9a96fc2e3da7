package gateway

import (
	"context"
	"net/http"

	"wsauth"
	"wsauth/idp"
	"wsauth/token"
)

// withProviders returns a verifier for the gateway's own tokens and those of
// the providers.
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

// providerEndpoints returns the endpoints at which providers report that a
// session has ended. It returns none without providers.
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

// follow keeps the providers' keys up to date until the gateway shuts down.
func (g *Gateway) follow(providers []*idp.Provider) {
	ctx, stop := context.WithCancel(context.Background())
	g.stopProviders = stop
	for _, p := range providers {
		g.following.Go(func() { _ = p.Run(ctx) }) // returns only the error of ctx
	}
}

// roomForTokens returns how many more bytes of header fields are allowed
// because a provider issues tokens of more than the usual length. A
// subprotocol may carry a token in base64, which makes it a third longer.
func roomForTokens(providers []*idp.Provider) int {
	longest := 0
	for _, p := range providers {
		longest = max(longest, p.MaxTokenBytes())
	}
	return max(0, longest-idp.DefaultMaxTokenBytes) * 4 / 3
}
