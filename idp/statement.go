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

// Logout verifies a logout token (OpenID Connect Back-Channel Logout 1.0
// §2.6). Events beside the logout are ignored, whatever their values are (RFC
// 8417 §2.2): Keycloak sends "revoke_offline_access": true there, where its
// offline sessions end with a logout. An exp is not required: older providers
// send none, and the iat bounds how long the token is good. Errors are those
// of token.Verifier, [ErrNotLogout] and [ErrSubject].
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
	t := p.userOf(c)
	t.session = c.SessionID
	return p.ending(c, t, c.IssuedAt)
}

// A target is the user or the session, or both, that a statement is about.
type target struct {
	session string
	users   []string // names of one user
	mapped  bool     // one of them is what access tokens name the user by
	either  bool     // the one name is that of a user or of a session
}

// userOf is the user of a statement, by its sub, and by the claim of the
// subject if that is another one and there.
func (p *Provider) userOf(c *token.Claims) target {
	t := named(c.Subject)
	if p.subject == "sub" {
		t.mapped = true
	} else if name, found := c.LookupName(p.subject, p.integers); found { // what is no name is refused as a revocation
		t.users, t.mapped = append(t.users, name), true
	}
	return t
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
	for _, user := range t.users {
		scope := store.Sessionless
		if t.session == "" || t.either || p.sessionless || p.unsure {
			scope = store.Subject
		}
		e.Revocations = append(e.Revocations, store.Revocation{Scope: scope, ID: p.verifier.Qualify(user), Before: moment, Expires: expires})
	}
	e.doubtful = p.isDoubtful(t)
	if len(e.Revocations) == 0 || p.sessionless && len(t.users) == 0 {
		return Ending{}, ErrSubject
	}
	for _, r := range e.Revocations {
		if _, err := r.Canonical(); err != nil {
			return Ending{}, fmt.Errorf("%w: %w", ErrSubject, err)
		}
	}
	return e, nil
}

// isDoubtful reports whether perhaps no access token names what t does, as far
// as access tokens were seen: neither its session nor its user.
func (p *Provider) isDoubtful(t target) bool {
	withSession, withoutSession := p.verifier.Sessions()
	withSub, withoutSub := p.verifier.IssuerSubjects()
	session := t.session != "" && (withSession || !p.unsure && !withoutSession)
	user := len(t.users) > 0 && (p.subject == "sub" || t.mapped || withSub || !withoutSub)
	return !session && !user
}
