package idp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wsauth/store"
	"wsauth/token"
)

// maxStatementAge is how old a logout token or an event may be.
const maxStatementAge = 5 * time.Minute

// What is wrong with a statement beyond its signature, dates and names.
var (
	// ErrNotLogout: it is no logout token.
	ErrNotLogout = errors.New("idp: not a logout token")

	// ErrSubject: it does not name a user or session in a way that we know.
	ErrSubject = errors.New("idp: names no user or session")
)

// An Ending is what a provider has said to have ended.
type Ending struct {
	// ID is the jti of the statement, with the provider's namespace. A
	// statement that was heard before must not be obeyed again.
	ID string

	// Revocations end the sessions concerned. There are none for an event
	// that ends nothing.
	Revocations []store.Revocation

	doubtful bool // perhaps no access token names what it ends
}

// logoutEvent is the event that makes a logout token of a statement.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// Logout verifies a logout token (OpenID Connect Back-Channel Logout 1.0 §2.6).
// Events beside the logout are ignored, whatever their values are (RFC 8417
// §2.2): Keycloak sends "revoke_offline_access": true there, where its offline
// sessions end with a logout. An exp is not required: older providers send none,
// and the iat bounds how long the token is good.
// Errors are those of token.Verifier, [ErrNotLogout] and [ErrSubject].
func (p *Provider) Logout(ctx context.Context, raw string) (Ending, error) {
	c, err := p.verifier.VerifyStatement(ctx, raw, token.StatementRules{
		MediaTypes: []string{"logout+jwt", ""}, Audience: p.clientIDs, MaxAge: maxStatementAge,
	})
	if err != nil {
		return Ending{}, err
	}
	events, err := eventsOf(c)
	if err != nil {
		return Ending{}, fmt.Errorf("%w: %w", ErrNotLogout, err)
	}
	var says struct {
		Nonce any `json:"nonce"`
	}
	switch err := c.Decode(&says); {
	case events[logoutEvent].Kind() != '{':
		return Ending{}, fmt.Errorf("%w: events lacks the one that a logout token has", ErrNotLogout)
	case err != nil || says.Nonce != nil:
		return Ending{}, fmt.Errorf("%w: a nonce is that of an ID token", ErrNotLogout)
	}
	return p.ending(c, target{session: c.SessionID, user: p.userOf(c)}, c.IssuedAt)
}

// userOf is the name that access tokens have for the user of a statement.
func (p *Provider) userOf(c *token.Claims) string {
	if p.subject == "sub" {
		return c.Subject
	}
	var all map[string]any
	if c.Decode(&all) != nil {
		return ""
	}
	name, _ := all[p.subject].(string)
	return name
}

// A target is the user or the session, or both, that a statement is about.
type target struct {
	session, user string
	either        bool // the one name is that of a user or of a session
}

// ending makes the revocations. A session that access tokens name ends, and
// with it those tokens of its user that name no session, which may be of the
// same one. If the session is unknown, or access tokens may have another name
// for it, all that the user began until the moment ends.
func (p *Provider) ending(c *token.Claims, t target, moment time.Time) (Ending, error) {
	expires := time.Now().Add(p.remembered)
	e := Ending{ID: p.verifier.Qualify(c.ID)}
	if t.session != "" {
		e.Revocations = append(e.Revocations, store.Revocation{Scope: store.Session, ID: p.verifier.Qualify(t.session), Expires: expires})
	}
	if t.user != "" {
		scope := store.Sessionless
		if t.session == "" || t.either || p.sessionless || p.unsure {
			scope = store.Subject
		}
		e.Revocations = append(e.Revocations, store.Revocation{Scope: scope, ID: p.verifier.Qualify(t.user), Before: moment, Expires: expires})
	}
	named, unnamed := p.verifier.Sessions()
	e.doubtful = t.user == "" && !named && (p.unsure || unnamed)
	if len(e.Revocations) == 0 || p.sessionless && t.user == "" {
		return Ending{}, ErrSubject
	}
	for _, r := range e.Revocations {
		if _, err := r.Canonical(); err != nil {
			return Ending{}, fmt.Errorf("%w: %w", ErrSubject, err)
		}
	}
	return e, nil
}
