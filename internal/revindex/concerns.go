package revindex

import (
	"time"

	"wsauth/store"
	"wsauth/token"
)

// Concerns reports whether r revokes the token with claims c.
//
// A revocation with a time revokes only tokens that started by then. If the sid
// is a UUIDv7, as those of [store.NewSessionID] are, a token started when its
// session did. A revocation then covers tokens that the session gets later. It
// does not affect a login after the revocation, even within the same second.
//
// Otherwise a token started in the second of its iat, and a revocation covers
// the whole second of its time. Since the issuer's clock may be ahead by the
// leeway of the verifier, the leeway is subtracted from iat: tokens that are
// issued within the leeway after a revocation may also be revoked.
//
// A start time in the sid is ignored if it is later than the iat of the token.
// A token with neither time is revoked.
func Concerns(r store.Revocation, c *token.Claims) bool {
	switch r.Target {
	case store.TargetToken:
		return r.ID != "" && r.ID == c.ID
	case store.TargetSession:
		return r.ID != "" && r.ID == c.SessionID
	case store.TargetOlder:
		return r.ID != "" && r.ID == c.SessionID && c.Type == token.TypeAccess && c.Generation < r.Generation
	case store.TargetSubject:
		return c.HasSubject(r.ID) && !startedAfter(c, r.Before)
	case store.TargetAll:
		return !startedAfter(c, r.Before)
	case store.TargetSessionless:
		return c.HasSubject(r.ID) && c.SessionID == "" && !startedAfter(c, r.Before)
	}
	return false
}

// startedAfter reports whether the token with claims c started after moment.
func startedAfter(c *token.Claims, moment time.Time) bool {
	undated := c.IssuedAt.IsZero()
	started, ok := store.SessionStarted(c.SessionID)
	if ok && (undated || started.Unix() <= c.IssuedAt.Unix()) {
		return started.UnixMilli() > moment.UnixMilli()
	}
	return !undated && c.IssuedFrom().Unix() > moment.Unix()
}
