package wsauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"wsauth/store"
	"wsauth/token"
)

// RevokeToken revokes the token with these claims, by its jti. A token without
// one cannot be revoked alone: the error is [store.ErrInvalid]. See
// [Guard.Revoke] for the results.
func (g *Guard) RevokeToken(ctx context.Context, claims *token.Claims) (sockets int, err error) {
	r := store.Revocation{Target: store.TargetToken}
	if claims != nil {
		r.ID = claims.ID
	}
	return g.Revoke(ctx, r)
}

// RevokeSession revokes all tokens of a session, by their sid: "log out on
// this device". Tokens that are issued for the session later are revoked, too.
// See [Guard.Revoke] for the results.
func (g *Guard) RevokeSession(ctx context.Context, sid string) (sockets int, err error) {
	return g.Revoke(ctx, store.Revocation{Target: store.TargetSession, ID: sid})
}

// RevokeSubject revokes all tokens that were issued to a user until now, and
// all sessions that have started until now: "log out everywhere". See
// [Guard.Revoke] for the results.
func (g *Guard) RevokeSubject(ctx context.Context, subject string) (sockets int, err error) {
	return g.Revoke(ctx, store.Revocation{Target: store.TargetSubject, ID: subject, Before: g.revocations.now(ctx)})
}

// RevokeAll revokes all tokens that were issued until now, and all sessions
// that have started until now. See [Guard.Revoke] for the results.
func (g *Guard) RevokeAll(ctx context.Context) (sockets int, err error) {
	return g.Revoke(ctx, store.Revocation{Target: store.TargetAll, Before: g.revocations.now(ctx)})
}

// Revoke adds revocations to the log of Config.Revocations. Use it for several
// targets at once, or to revoke what was issued before a moment in the past.
// Revoke ends the open sockets of this guard that the revocations concern, with
// TokenRevoked for a single token and with SessionEnded for any other target.
// It returns the number of these sockets. Other nodes end theirs as soon as
// they have read the log. When it returns nil, the revocations are as durable
// as the store, and this guard refuses their tokens.
//
// A revocation without Expires is kept for [Config.MaxTokenLife]. Set Expires
// only if you have issued the tokens yourself and know when the last one
// expires.
//
// If the error is [store.ErrNotDurable], the store has not accepted the
// revocations because it is full or fails. They apply to this node only, where
// the sockets have ended. They are written as soon as the store accepts them,
// at the latest by [Guard.Shutdown], but are lost if the process is killed
// before. If the error is [store.ErrUnconfirmed], they apply to all nodes, but
// are lost if the store fails over to a replica that lacks them. After any
// other error, the tokens may still be valid.
func (g *Guard) Revoke(ctx context.Context, revocations ...store.Revocation) (sockets int, err error) {
	if g.revocations == nil {
		return 0, errors.New("wsauth: Revoke: the guard has no Config.Revocations")
	}
	begun := time.Now()
	revocations = slices.Clone(revocations)
	for i := range revocations {
		if revocations[i].Expires.IsZero() {
			revocations[i].Expires = begun.Add(g.maxLife.value() + token.MaxLeeway)
		}
	}
	concerned := map[*Socket]struct{}{}
	g.open.addConcerned(concerned, revocations)
	if err = g.revocations.index.Revoke(ctx, revocations...); err != nil {
		err = fmt.Errorf("wsauth: Revoke: %w", err)
		if !store.InEffect(err) {
			return 0, err
		}
	}
	// The reader of the log may have ended some of them already, and others
	// may have been opened in the meantime.
	g.open.addConcerned(concerned, revocations)
	for _, r := range revocations {
		g.open.endRevoked(r)
	}
	g.report.observer.Revoked(revocations, len(concerned), time.Since(begun))
	return len(concerned), err
}

// A maxLife is the longest Config.MaxTokenLife of the guards that share a log.
type maxLife struct{ nanoseconds atomic.Int64 }

func (m *maxLife) value() time.Duration { return time.Duration(m.nanoseconds.Load()) }

// raise makes the value at least d.
func (m *maxLife) raise(d time.Duration) {
	for {
		old := m.nanoseconds.Load()
		if int64(d) <= old || m.nanoseconds.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// Revoked reports whether the log of Config.Revocations revokes tokens with
// these claims. An error means that this is unknown: there is no log, or the
// guard has had no contact with it for longer than Config.Staleness.
func (g *Guard) Revoked(ctx context.Context, claims *token.Claims) (bool, error) {
	if g.revocations == nil {
		return false, errors.New("wsauth: Revoked: the guard has no Config.Revocations")
	}
	if err := g.revocations.waitForContact(ctx); err != nil {
		return false, err
	}
	return g.revocations.index.Revoked(claims), nil
}
