package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"wsauth"
	"wsauth/token"
)

// A Gateway is the http.Handler of the whole server. [Gateway.Serve] puts it behind an http.Server with the limits that it counts
// on. It is safe for concurrent use.
type Gateway struct {
	authenticate Authenticator
	accessTTL    time.Duration
	sessionTTL   time.Duration // the longest that any token of a session can still be valid
	issuer       *token.Issuer
	guard        *wsauth.Guard
	cookies      *wsauth.Cookies
	denied       *denylist
	attempts     *attempts
	log          *slog.Logger
	handler      http.Handler
}

// Limits of what is kept in memory for clients.
const (
	maxDenied  = 100_000 // sessions that were logged out and whose tokens are still valid
	maxBuckets = 50_000  // addresses, and as many names, that lately failed to log in
)

// New makes a gateway. All faults of c are reported at once, each with the name of its field.
func New(c Config) (*Gateway, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	keys, err := token.NewKeySet(c.Key)
	if err != nil {
		return nil, fmt.Errorf("gateway: Config.Key: %w", err)
	}
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: c.Key, AccessTTL: c.AccessTTL, RefreshTTL: c.RefreshTTL})
	if err != nil {
		return nil, fmt.Errorf("gateway: issuer: %w", err)
	}
	verifier, err := token.NewVerifier(token.VerifierConfig{Keys: keys})
	if err != nil {
		return nil, fmt.Errorf("gateway: verifier: %w", err)
	}
	g := &Gateway{
		authenticate: c.Authenticate,
		accessTTL:    c.AccessTTL,
		sessionTTL:   c.RefreshTTL + c.AccessTTL,
		issuer:       issuer,
		cookies:      &wsauth.Cookies{},
		denied:       newDenylist(maxDenied),
		attempts:     newAttempts(maxBuckets),
		log:          c.Logger,
	}
	g.guard, err = wsauth.New(wsauth.Config{
		Verifier:  verifier,
		Locations: []wsauth.Location{wsauth.Header{}, wsauth.Query{Name: "token"}, g.cookies},
		Origins:   c.Origins,
		Revoked: func(_ context.Context, claims *token.Claims) (bool, error) {
			return g.denied.has(sessionKey(claims), time.Now()), nil
		},
		Refusal: wsauth.RefuseClose,
		Logger:  c.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("gateway: guard: %w", err)
	}
	files, err := loadAssets()
	if err != nil {
		return nil, err
	}
	origins := http.NewCrossOriginProtection()
	for _, o := range c.Origins {
		err = errors.Join(err, origins.AddTrustedOrigin(o))
	}
	if err != nil {
		return nil, fmt.Errorf("gateway: Config.Origins: %w", err)
	}
	origins.SetDenyHandler(problem(http.StatusForbidden, "origin_not_allowed", "Pages of other sites may not send this request"))
	g.handler = limit(withSecurityHeaders(origins.Handler(newMux(g.routes(files)))))
	return g, nil
}

// ServeHTTP answers r.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.handler.ServeHTTP(w, r) }

// Shutdown ends every open socket with close code 1012 and reason "restarting", and waits until they are gone or ctx is done.
func (g *Gateway) Shutdown(ctx context.Context) error { return g.guard.Shutdown(ctx) }
