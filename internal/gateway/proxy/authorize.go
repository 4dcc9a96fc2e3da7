package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"wsauth"
	"wsauth/token"
)

// review ends s if the routes have changed and no longer admit it.
func (p *proxy) review(s *wsauth.Socket, key routeKey) {
	if p.isOutdated(s, key) {
		s.EndWith(&wsauth.EndError{Reason: wsauth.Restarting, Err: errRouteChanged})
	}
}

// isOutdated reports whether s, which p serves, may not stay open because the
// routes have changed since p was added.
func (p *proxy) isOutdated(s *wsauth.Socket, key routeKey) bool {
	return p.aged.Load() && !p.routes.table.Load().admits(s, p, key)
}

// authorize applies the rule of the route to a request, and to each renewal of
// its socket. It uses the current rule, which may have replaced the rule under
// which the socket was opened. The guard calls it after it has verified the
// credential. A refresh token is also looked up in the store, because it may
// have been exchanged.
func (p *proxy) authorize(_ *http.Request, claims *token.Claims) error {
	if after := p.routes.Authorized.Load(); after != nil {
		defer (*after)()
	}
	now := p
	if p.replaced.Load() {
		if now = p.routes.table.Load().byName[p.route.name()]; now == nil {
			return &wsauth.Error{Reason: wsauth.Restarting, Message: wsauth.Restarting.Outcome().Text, Err: errors.New("the route was removed")}
		}
	}
	if err := now.allows(claims); err != nil || claims == nil || claims.Type != token.TypeRefresh {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), presentTimeout)
	defer cancel()
	return p.routes.config.PresentRefresh(ctx, claims, p.route.name())
}

// presentTimeout bounds the look-up of a refresh token in the store.
const presentTimeout = 5 * time.Second

var errNoSockets = &wsauth.Error{
	Reason:  wsauth.SocketsNotAllowed,
	Message: wsauth.SocketsNotAllowed.Outcome().Text,
	Err:     errors.New("a public route opens sockets only with sockets: true"),
}

// allows returns an error if a client with these claims may not use the route.
// Nil claims mean a client that was not asked for a token, or that sent none
// where it is optional. On a public route, allows is called for handshakes
// only.
func (p *proxy) allows(claims *token.Claims) error {
	if p.route.Public && !p.route.Sockets {
		return errNoSockets
	}
	if claims == nil || len(p.route.Scopes)+len(p.route.Claims) == 0 {
		return nil
	}
	read := claimReader{claims: claims}
	if err := p.hasScopes(&read); err != nil {
		return err
	}
	for name, wanted := range p.route.Claims {
		values, err := read.values(name)
		if err != nil {
			return fmt.Errorf("claim %q: %w", name, err)
		}
		if !slices.ContainsFunc(values, func(v string) bool { return slices.Contains(wanted, v) }) {
			return fmt.Errorf("claim %q has none of the values that the route requires", name)
		}
	}
	return nil
}

// hasScopes returns an error if a scope of the route is missing.
func (p *proxy) hasScopes(read *claimReader) error {
	if len(p.route.Scopes) == 0 {
		return nil
	}
	granted, err := read.scopes()
	if err != nil {
		return err
	}
	for _, s := range p.route.Scopes {
		if !slices.Contains(granted, s) {
			return fmt.Errorf("the token has no scope %q", s)
		}
	}
	return nil
}
