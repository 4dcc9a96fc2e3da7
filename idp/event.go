package idp

import (
	"context"
	"fmt"
	"time"

	"wsauth/token"
)

// The events that end sessions: those of CAEP 1.0 §3 and RISC 1.0 §2.
var endingEvents = []string{
	"https://schemas.openid.net/secevent/caep/event-type/session-revoked",
	"https://schemas.openid.net/secevent/caep/event-type/credential-change",
	"https://schemas.openid.net/secevent/risc/event-type/account-disabled",
	"https://schemas.openid.net/secevent/risc/event-type/account-purged",
	"https://schemas.openid.net/secevent/risc/event-type/sessions-revoked",
}

// An identifier is a Subject Identifier (RFC 9493 §3), of those formats that
// name a user or a session as tokens do.
type identifier struct {
	Format  string      `json:"format"`
	Issuer  string      `json:"iss"`
	Subject string      `json:"sub"`
	ID      string      `json:"id"`
	User    *identifier `json:"user"`
	Session *identifier `json:"session"`
}

// An event is what ending events have in common (CAEP 1.0 §2).
type event struct {
	Timestamp int64       `json:"event_timestamp"` // seconds since 1970
	Subject   *identifier `json:"subject"`         // of older drafts
}

// Event verifies a Security Event Token (RFC 8417). One whose events end
// nothing, such as the verification of a stream, is no error. Errors are those
// of token.Verifier and [ErrSubject].
func (p *Provider) Event(ctx context.Context, raw string) (Ending, error) {
	c, err := p.verifier.VerifyStatement(ctx, raw, token.StatementRules{
		MediaTypes: []string{"secevent+jwt"}, Audience: p.clientIDs, MaxAge: maxStatementAge,
	})
	if err != nil {
		return Ending{}, err
	}
	var says struct {
		Subject *identifier      `json:"sub_id"`
		Events  map[string]event `json:"events"`
	}
	if err := c.Decode(&says); err != nil || len(says.Events) == 0 {
		return Ending{}, &token.Error{Kind: token.ErrClaims, Detail: "sub_id or events are not as they should be"}
	}
	all := Ending{ID: p.verifier.Qualify(c.ID)}
	for _, name := range endingEvents {
		e, found := says.Events[name]
		if !found {
			continue
		}
		subject := says.Subject
		if subject == nil {
			subject = e.Subject
		}
		t, err := p.target(subject, c)
		if err != nil {
			return Ending{}, err
		}
		ending, err := p.ending(c, t, e.moment(c.IssuedAt))
		if err != nil {
			return Ending{}, err
		}
		all.doubtful = ending.doubtful && (all.doubtful || len(all.Revocations) == 0)
		all.Revocations = append(all.Revocations, ending.Revocations...)
	}
	return all, nil
}

// moment is when it happened, which is not after it was said.
func (e event) moment(said time.Time) time.Time {
	at := time.Unix(e.Timestamp, 0)
	if e.Timestamp <= 0 || at.After(said) {
		return said
	}
	return at
}

// target is whom the identifier names. An event without one may name the user
// as tokens do, in sub.
func (p *Provider) target(i *identifier, c *token.Claims) (target, error) {
	if i == nil {
		i = &identifier{Format: "iss_sub", Issuer: c.Issuer, Subject: p.userOf(c)}
	}
	switch i.Format {
	case "iss_sub":
		if i.Issuer != p.issuer {
			return target{}, fmt.Errorf("%w: its iss is that of another issuer", ErrSubject)
		}
		if p.subject != "sub" && i.Subject != p.userOf(c) {
			return target{}, fmt.Errorf("%w: access tokens name the user by %s, not by sub", ErrSubject, p.subject)
		}
		return target{user: i.Subject}.known()
	case "opaque": // of a user or of a session: their names do not meet
		return target{user: i.ID, session: i.ID, either: true}.known()
	case "complex", "": // older drafts had no format here
		return p.complexTarget(i, c)
	}
	return target{}, fmt.Errorf("%w: format %.20q", ErrSubject, i.Format)
}

// complexTarget is a session, or where that is not named a user (CAEP 1.0 §2.1).
func (p *Provider) complexTarget(i *identifier, c *token.Claims) (target, error) {
	var t target
	if i.Session != nil && i.Session.Format == "opaque" {
		t.session = i.Session.ID
	}
	if i.User != nil && (i.User.Format == "iss_sub" || i.User.Format == "opaque") {
		user, err := p.target(i.User, c)
		if err != nil {
			return target{}, err
		}
		t.user = user.user
	}
	return t.known()
}

func (t target) known() (target, error) {
	if t.session == "" && t.user == "" {
		return target{}, ErrSubject
	}
	return t, nil
}
