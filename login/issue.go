package login

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"wsauth"
	"wsauth/store"
	"wsauth/token"
)

// Tokens are the tokens of one session that were just issued.
type Tokens struct {
	Access  *token.Token
	Refresh *token.Token // nil if only the access token is new
	cookies bool         // the tokens are for cookies
}

// spreadFrom is the minimum AccessTTL for which lifetimes are spread.
const spreadFrom = time.Minute

// An issuer issues the tokens of sessions. The guard must accept these tokens.
type issuer struct {
	tokens   *token.Issuer
	guard    *wsauth.Guard
	verifier wsauth.Verifier // of guard

	accessTTL, refreshTTL time.Duration
}

// newIssuer returns an issuer. verifier is that of the guard.
func newIssuer(c Config, verifier wsauth.Verifier) (*issuer, error) {
	tokens, err := token.NewIssuer(token.IssuerConfig{Key: c.Keys, Issuer: c.Issuer, AccessTTL: c.AccessTTL, RefreshTTL: c.RefreshTTL})
	if err != nil {
		return nil, &FieldError{"Issuer", err}
	}
	i := &issuer{tokens: tokens, guard: c.Guard, verifier: verifier, accessTTL: c.AccessTTL, refreshTTL: c.RefreshTTL}
	if err := i.tryKeys(); err != nil {
		return nil, &FieldError{"Keys", err}
	}
	return i, nil
}

// tryKeys returns an error if the guard refuses the tokens that Config.Keys
// sign. It is not an error if the verifier cannot check tokens now, for example
// because its keys have not been fetched.
func (i *issuer) tryKeys() error {
	made, err := i.tokens.Access("someone", token.Options{SessionID: store.NewSessionID(time.Now())})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err = i.verifier.Verify(ctx, made.Raw)
	if refused, ok := errors.AsType[*token.Error](err); ok {
		return fmt.Errorf("the verifier of Guard refuses the tokens that they sign: %w", refused)
	}
	return nil
}

// issue issues an access token of a session, and its current refresh token.
func (i *issuer) issue(session store.Session, cookies, fresh bool) (Tokens, error) {
	t, err := i.issueAccess(session, cookies, fresh)
	if err != nil {
		return Tokens{}, err
	}
	o := token.Options{SessionID: session.ID, Generation: session.Generation, IssuedAt: issuedAt(session.ID), ID: session.Current, CSRF: cookies}
	end := session.Expires
	if session.Ends.Before(end) {
		end = session.Ends
	}
	t.Refresh, err = issueUntil(end, i.refreshTTL, func(ttl time.Duration) (*token.Token, error) {
		o.TTL = ttl
		return i.tokens.Refresh(session.Subject, o)
	})
	return t, err
}

// issueAccess issues an access token of a session.
func (i *issuer) issueAccess(session store.Session, cookies, fresh bool) (Tokens, error) {
	o := token.Options{SessionID: session.ID, Generation: session.Generation, IssuedAt: issuedAt(session.ID), CSRF: cookies, Fresh: fresh}
	access, err := issueUntil(session.Ends, spreadTTL(i.accessTTL, session.ID), func(ttl time.Duration) (*token.Token, error) {
		o.TTL = ttl
		return i.tokens.Access(session.Subject, o)
	})
	return Tokens{Access: access, cookies: cookies}, err
}

// issuedAt returns the iat of a token that is issued now for a session: the
// current time, or the start of the session if that is later. The store dates
// the session, and its clock may be ahead of this server's, by up to
// [store.ClockStep].
func issuedAt(sid string) time.Time {
	now := time.Now()
	started, ok := store.SessionStarted(sid)
	if ahead := started.Sub(now); ok && ahead > 0 && ahead <= store.ClockStep {
		return started
	}
	return now
}

// issueUntil issues a token with a lifetime of ttl, or until the end of its
// session if that is earlier.
func issueUntil(end time.Time, ttl time.Duration, issue func(ttl time.Duration) (*token.Token, error)) (*token.Token, error) {
	left := time.Duration(end.Unix()-time.Now().Unix()) * time.Second
	for ttl = min(ttl, left); ttl >= time.Second; ttl -= time.Second { // once, or twice if a new second has started
		t, err := issue(ttl)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNoToken, err)
		}
		if !t.Claims.ExpiresAt.After(end) {
			return t, nil
		}
	}
	return nil, errSessionOver
}

// spreadTTL returns 90 to 100 % of ttl, in whole seconds, or ttl itself if it
// is less than spreadFrom. A hash of sid determines the percentage, so the
// result is the same for all tokens of a session: otherwise a later token could
// expire before an earlier one, and would not renew its sockets.
func spreadTTL(ttl time.Duration, sid string) time.Duration {
	if ttl < spreadFrom {
		return ttl
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(sid)) // never fails
	most := uint64(ttl / 10 / time.Second)
	return ttl - time.Duration(hash.Sum64()%(most+1))*time.Second
}

// checkAlive returns an error if the guard would refuse an access token that
// was just issued.
func (i *issuer) checkAlive(ctx context.Context, access *token.Token) error {
	claims, err := i.verifier.Verify(ctx, access.Raw) // this verifier has the leeway of the guard
	if refused, ok := errors.AsType[*token.Error](err); ok {
		return fmt.Errorf("%w: the guard would refuse it: %w", errNoToken, refused)
	}
	if err != nil {
		return err
	}
	return i.checkIssued(ctx, claims)
}

// checkNext is like checkAlive, but checks the tokens that would be issued now
// for a refresh token with these claims.
func (i *issuer) checkNext(ctx context.Context, claims *token.Claims) error {
	next := *claims
	next.IssuedAt = issuedAt(claims.SessionID)
	return i.checkIssued(ctx, &next)
}

// checkIssued returns an error if tokens with these claims are revoked.
func (i *issuer) checkIssued(ctx context.Context, claims *token.Claims) error {
	if revoked, err := i.guard.Revoked(ctx, claims); !revoked {
		return err
	}
	inASecond := &token.Claims{Subject: claims.Subject, IssuedAt: time.Now().Add(time.Second)} // the client may try again then
	switch revoked, err := i.guard.Revoked(ctx, inASecond); {
	case err != nil:
		return err
	case revoked:
		return errClockBehind
	}
	return errEndedMeanwhile
}
