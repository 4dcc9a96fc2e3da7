package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"wsauth/token"
)

// clockStep is how far the clock may be set back without our own tokens being
// refused because they are dated ahead of it.
const clockStep = 5 * time.Second

var (
	// errClockBehind means that whoever logs in now is revoked: the clock is
	// behind the moment until which logins were ended.
	errClockBehind = errors.New("the clock is behind a revocation of all logins of this user or of everybody: was it set back?")

	// errEndedMeanwhile means that the logins of a user were ended while one
	// more was under way.
	errEndedMeanwhile = errors.New("the logins of this user were ended meanwhile")
)

// checkAlive returns an error if the access token of a new login would be
// refused, and says why.
func (g *Gateway) checkAlive(ctx context.Context, access *token.Token) error {
	claims, err := g.verifier.Verify(ctx, access.Raw) // with the leeway by which it will be judged
	if err != nil {
		return err
	}
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

// cannotBegin answers a login for which checkAlive has returned an error.
func (g *Gateway) cannotBegin(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	switch {
	case errors.Is(err, errClockBehind):
		log.Error("login failed", "reason", "clock_behind", "err", err)
		w.Header().Set("Retry-After", "5")
		clockBehind(w, r)
	case errors.Is(err, errEndedMeanwhile):
		log.Warn("login failed", "reason", "session_ended", "err", err)
		w.Header().Set("Retry-After", "1")
		endedMeanwhile(w, r)
	default:
		g.unavailable(w, r, "login failed", err)
	}
}

var (
	clockBehind    = problem(http.StatusServiceUnavailable, "clock_behind", "All logins were ended until a moment that the clock of this server has not reached; it may have been set back. Nobody who was concerned can log in before")
	endedMeanwhile = problem(http.StatusServiceUnavailable, "session_ended", "All your sessions were ended while you logged in; log in again")
)
