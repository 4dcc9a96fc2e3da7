package gateway

import (
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"wsauth/store"
	"wsauth/token"
)

// spreadFrom is the life of an access token from which on it is spread.
const spreadFrom = time.Minute

// errOver means a session that has no whole second left to live.
var errOver = errors.New("gateway: the session is over")

// tokens are what one answer hands out.
type tokens struct {
	access  *token.Token
	refresh *token.Token // nil when only the access token is new
	cookies bool         // they travel in cookies
}

// issue makes an access token of a session, and the refresh token that is its current one.
func (g *Gateway) issue(f store.Family, cookies, fresh bool) (tokens, error) {
	t, err := g.issueAccess(f, cookies, fresh)
	if err != nil {
		return tokens{}, err
	}
	o := token.Options{SessionID: f.ID, ID: f.Current, CSRF: cookies}
	end := f.Expires
	if f.Ends.Before(end) {
		end = f.Ends
	}
	t.refresh, err = until(end, g.refreshTTL, func(ttl time.Duration) (*token.Token, error) {
		o.TTL = ttl
		return g.issuer.Refresh(f.Subject, o)
	})
	return t, err
}

// issueAccess makes an access token of a session.
func (g *Gateway) issueAccess(f store.Family, cookies, fresh bool) (tokens, error) {
	o := token.Options{SessionID: f.ID, CSRF: cookies, Fresh: fresh}
	access, err := until(f.Ends, spread(g.accessTTL, f.ID), func(ttl time.Duration) (*token.Token, error) {
		o.TTL = ttl
		return g.issuer.Access(f.Subject, o)
	})
	return tokens{access: access, cookies: cookies}, err
}

// until makes a token that lives for ttl, or to the end of its session if that comes earlier.
func until(end time.Time, ttl time.Duration, issue func(ttl time.Duration) (*token.Token, error)) (*token.Token, error) {
	left := time.Duration(end.Unix()-time.Now().Unix()) * time.Second
	for ttl = min(ttl, left); ttl >= time.Second; ttl -= time.Second { // once, or twice when another second begins meanwhile
		t, err := issue(ttl)
		if err != nil {
			return nil, fmt.Errorf("gateway: %w", err)
		}
		if !t.Claims.ExpiresAt.After(end) {
			return t, nil
		}
	}
	return nil, errOver
}

// spread is a time of 90 to 100 % of ttl, in whole seconds, or ttl itself where that is short. Sessions differ in it at random, but
// the tokens of one session do not: a later one would end before an earlier, and renew nothing.
func spread(ttl time.Duration, sid string) time.Duration {
	if ttl < spreadFrom {
		return ttl
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(sid)) // never fails
	most := uint64(ttl / 10 / time.Second)
	return ttl - time.Duration(hash.Sum64()%(most+1))*time.Second
}

// lifetime is how many seconds a token lives.
func lifetime(t *token.Token) int64 {
	return int64(t.Claims.ExpiresAt.Sub(t.Claims.IssuedAt) / time.Second)
}
