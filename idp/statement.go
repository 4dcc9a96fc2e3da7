package idp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wsauth/store"
	"wsauth/token"
)

// maxStatementAge is the maximum age of a logout token or an event.
const maxStatementAge = 5 * time.Minute

// Errors in a statement, other than those in its signature, dates and audience.
var (
	// ErrNotLogout means that a statement is not a logout token.
	ErrNotLogout = errors.New("idp: not a logout token")

	// ErrSubject means that a statement names no user or session in a supported
	// way.
	ErrSubject = errors.New("idp: names no user or session")
)

// An Ending describes the sessions that end, according to the provider.
type Ending struct {
	// ID is the jti of the statement, with the provider's namespace. A
	// statement whose ID has been seen before must be ignored.
	ID string

	// Revocations end the sessions concerned. Empty for an event that ends
	// nothing.
	Revocations []store.Revocation

	doubtful bool // access tokens may use other names for the sessions
}

// logoutEvent is the event that a logout token must contain.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// Logout verifies a logout token (OpenID Connect Back-Channel Logout 1.0
// section 2.6). Other events in the token are ignored, whatever their values
// (RFC 8417 section 2.2). For example, Keycloak adds "revoke_offline_access":
// true if offline sessions end with a logout. exp is optional: older providers
// do not send it, and iat limits the validity. Errors are those of
// token.Verifier, [ErrNotLogout] and [ErrSubject].
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
	var claims struct {
		Nonce any `json:"nonce"`
	}
	switch err := c.Decode(&claims); {
	case events[logoutEvent].Kind() != '{':
		return Ending{}, fmt.Errorf("%w: the logout event is missing", ErrNotLogout)
	case err != nil || claims.Nonce != nil:
		return Ending{}, fmt.Errorf("%w: it has a nonce, as ID tokens do", ErrNotLogout)
	}
	t := p.userOf(c)
	t.session = c.SessionID
	return p.ending(c, t, c.IssuedAt)
}

// A target is the user or session, or both, that a statement is about.
type target struct {
	session   string
	users     []string // all names of one user
	mapped    bool     // one of users is the name in access tokens
	ambiguous bool     // the same name may be that of a user or of a session
}

// userOf returns the user of a statement, named by its sub and, if present, by
// the claim that names users in access tokens.
func (p *Provider) userOf(c *token.Claims) target {
	t := userTarget(c.Subject)
	if p.subject == "sub" {
		t.mapped = true
		// A value that is not a valid name is refused later, as a revocation.
	} else if name, found := c.LookupName(p.subject, p.integers); found {
		t.users, t.mapped = append(t.users, name), true
	}
	return t
}

// ending returns the revocations of a target. If access tokens name the
// session, the revocations cover the session and those tokens of its user that
// name no session, since these may belong to it. If the session is unknown, or
// access tokens may use another name for it, the revocations cover all tokens
// that were issued to the user until moment.
func (p *Provider) ending(c *token.Claims, t target, moment time.Time) (Ending, error) {
	expires := time.Now().Add(p.remembered)
	e := Ending{ID: p.verifier.Qualify(c.ID)}
	if t.session != "" {
		e.Revocations = append(e.Revocations, store.Revocation{Target: store.TargetSession, ID: p.verifier.Qualify(t.session), Expires: expires})
	}
	for _, user := range t.users {
		target := store.TargetSessionless
		if t.session == "" || t.ambiguous || p.sessionless || p.maybeSessionless {
			target = store.TargetSubject
		}
		e.Revocations = append(e.Revocations, store.Revocation{Target: target, ID: p.verifier.Qualify(user), Before: moment, Expires: expires})
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

// isDoubtful reports whether, judging by the access tokens seen so far, access
// tokens may name neither the session nor the user of t.
func (p *Provider) isDoubtful(t target) bool {
	withSession, withoutSession := p.verifier.SeenSessions()
	withSub, withoutSub := p.verifier.SeenIssuerSubjects()
	namesSession := t.session != "" && (withSession || !p.maybeSessionless && !withoutSession)
	namesUser := len(t.users) > 0 && (p.subject == "sub" || t.mapped || withSub || !withoutSub)
	return !namesSession && !namesUser
}
