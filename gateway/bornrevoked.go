package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"wsauth"
	"wsauth/store"
	"wsauth/token"
)

var (
	// errClockBehind means that whoever logs in now is revoked: the clock is
	// behind the moment until which logins were ended.
	errClockBehind = errors.New("the clock is behind a revocation of all logins of this user or of everybody: was it set back?")

	// errTokenAhead means that the clock is behind the moment at which a token
	// was issued here.
	errTokenAhead = errors.New("the clock is behind the moment at which the refresh token was issued here: was it set back?")

	// errEndedMeanwhile means that the logins of a user were ended while one
	// more was under way.
	errEndedMeanwhile = errors.New("the logins of this user were ended meanwhile")
)

// OwnTokens returns the rules by which a gateway judges the tokens that it has
// issued: iat and nbf may be ahead by IssuedLeeway, and exp by nothing.
func (c *Config) OwnTokens() token.VerifierConfig {
	return token.VerifierConfig{
		Keys: c.Keys, Issuer: c.Issuer, IssuedLeeway: cmp.Or(c.IssuedLeeway, store.ClockStep), IntegerSubjects: c.IntegerSubjects, InsecureUntyped: c.InsecureUntyped,
	}
}

// maxIssuedLeeway is the most that a verifier allows.
const maxIssuedLeeway = time.Minute

// newEnding makes the guard of requests that end sessions. After the clock was
// set back, our own tokens are refused until it reaches their iat again. This
// guard accepts them, so that their users can log out meanwhile.
func (g *Gateway) newEnding(c Config) (*wsauth.Guard, error) {
	own := c.OwnTokens()
	own.IssuedAnyTime = true
	verifier, err := token.NewVerifier(own)
	if err != nil {
		return nil, fmt.Errorf("gateway: verifier: %w", err)
	}
	all, err := withProviders(verifier, c.Providers)
	if err != nil {
		return nil, fmt.Errorf("gateway: Config.Providers: %w", err)
	}
	return g.guard.With(func(of *wsauth.Config) { of.Verifier = all })
}

// isAhead reports whether the refresh token of r was refused with err only
// because the clock was set back after it was issued: the store knows its
// session.
func (g *Gateway) isAhead(ctx context.Context, r *http.Request, err error) bool {
	if !errors.Is(err, token.ErrIssuedInFuture) && !errors.Is(err, token.ErrNotYetValid) {
		return false
	}
	claims, err := g.ending.Check(r, wsauth.Refresh)
	if err != nil {
		return false
	}
	_, err = g.familyOf(ctx, claims)
	return err == nil
}

// endAhead ends the session of a token that was issued before the clock was
// set back. If the store does not know the session, a revocation of all that
// began until now would not concern it.
func (g *Gateway) endAhead(ctx context.Context, claims *token.Claims) (sockets int, err error) {
	if !claims.IssuedFrom().After(time.Now()) {
		return 0, nil
	}
	return g.guard.Revoke(ctx, g.revocationOf(ctx, claims))
}

// checkAlive returns an error if an access token that was just issued would be
// refused, and says why.
func (g *Gateway) checkAlive(ctx context.Context, access *token.Token) error {
	claims, err := g.verifier.Verify(ctx, access.Raw) // with the leeway by which it will be judged
	if err != nil {
		return err
	}
	return g.checkIssued(ctx, claims)
}

// checkNext is checkAlive for the tokens that would be issued now for the
// refresh token with these claims.
func (g *Gateway) checkNext(ctx context.Context, claims *token.Claims) error {
	next := *claims
	next.IssuedAt = time.Now()
	return g.checkIssued(ctx, &next)
}

func (g *Gateway) checkIssued(ctx context.Context, claims *token.Claims) error {
	if revoked, err := g.guard.Revoked(ctx, claims); !revoked {
		return err
	}
	inASecond := &token.Claims{Subject: claims.Subject, IssuedAt: time.Now().Add(time.Second)} // when the client may try again
	switch revoked, err := g.guard.Revoked(ctx, inASecond); {
	case err != nil:
		return err
	case revoked:
		return errClockBehind
	}
	return errEndedMeanwhile
}

// bornRevoked answers a request whose tokens checkAlive does not accept. what
// failed is for the log.
func (g *Gateway) bornRevoked(w http.ResponseWriter, r *http.Request, log *slog.Logger, what string, err error) {
	switch {
	case errors.Is(err, errClockBehind):
		log.Error(what, "reason", "clock_behind", "err", err)
		w.Header().Set("Retry-After", "5")
		clockBehind(w, r)
	case errors.Is(err, errTokenAhead):
		log.Error(what, "reason", "clock_behind", "err", err)
		w.Header().Set("Retry-After", "5")
		issuedAhead(w, r)
	case errors.Is(err, errEndedMeanwhile):
		log.Warn(what, "reason", "session_ended", "err", err)
		w.Header().Set("Retry-After", "1")
		endedMeanwhile(w, r)
	default:
		g.unavailable(w, r, what, err)
	}
}

var (
	clockBehind    = problemHandler(http.StatusServiceUnavailable, "clock_behind", "All logins were ended until a moment that the clock of this server has not reached; it may have been set back. Nobody who was concerned gets tokens before")
	issuedAhead    = problemHandler(http.StatusServiceUnavailable, "clock_behind", "The token was issued at a moment that the clock of this server has not reached; it may have been set back")
	endedMeanwhile = problemHandler(http.StatusServiceUnavailable, "session_ended", "All your sessions were ended while you logged in; log in again")
)
