package gateway

import (
	"net/http"

	"wsauth/idp"
)

// providerEndpoints returns the endpoints at which providers report that a
// session has ended. It returns none without providers.
func (g *Gateway) providerEndpoints(c Config) ([]endpoint, error) {
	if len(c.Tokens.Providers) == 0 {
		return nil, nil
	}
	h, err := idp.NewHandler(g.guard, g.log, c.Tokens.Providers...)
	if err != nil {
		return nil, err
	}
	return []endpoint{
		{http.MethodPost, c.Login.Prefix + "/backchannel-logout", http.HandlerFunc(h.Logout)},
		{http.MethodPost, c.Login.Prefix + "/events", http.HandlerFunc(h.Event)},
	}, nil
}
