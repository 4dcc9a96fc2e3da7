package idp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"wsauth/token"
)

// endingEvents are the events that end sessions, defined by CAEP 1.0 section 3
// and RISC 1.0 section 2.
var endingEvents = []string{
	"https://schemas.openid.net/secevent/caep/event-type/session-revoked",
	"https://schemas.openid.net/secevent/caep/event-type/credential-change",
	"https://schemas.openid.net/secevent/risc/event-type/account-disabled",
	"https://schemas.openid.net/secevent/risc/event-type/account-purged",
	"https://schemas.openid.net/secevent/risc/event-type/sessions-revoked",
}

// An identifier is a Subject Identifier (RFC 9493 section 3) in one of the
// formats that name a user or a session by the values of token claims. RISC
// transmitters still send identifiers of earlier drafts, with subject_type
// instead of format and "iss-sub" instead of "iss_sub".
type identifier struct {
	Format      string      `json:"format"`
	SubjectType string      `json:"subject_type"`
	Issuer      string      `json:"iss"`
	Subject     string      `json:"sub"`
	ID          string      `json:"id"`
	Email       string      `json:"email"`
	User        *identifier `json:"user"`
	Session     *identifier `json:"session"`
}

// format returns the name of the format, spelled as in RFC 9493.
func (i *identifier) format() string {
	return strings.ReplaceAll(cmp.Or(i.Format, i.SubjectType), "-", "_")
}

// An event holds the members that session-ending events have in common (CAEP
// 1.0 section 2). Receivers ignore other members and unknown events (RFC 8417
// section 2.2).
type event struct {
	Timestamp jsontext.Value `json:"event_timestamp"` // seconds since 1970
	Subject   *identifier    `json:"subject"`         // in older drafts
}

// eventsOf returns the members of the events claim. Unknown events must not be
// parsed: they may have any value.
func eventsOf(c *token.Claims) (map[string]jsontext.Value, error) {
	var claims struct {
		Events map[string]jsontext.Value `json:"events"`
	}
	if err := c.Decode(&claims); err != nil || len(claims.Events) == 0 {
		return nil, &token.Error{Kind: token.ErrClaims, Detail: "events is missing or not an object with events"}
	}
	return claims.Events, nil
}

// Event verifies a Security Event Token (RFC 8417), whose iss must be
// Config.EventIssuer. An event that ends nothing, such as the verification of a
// stream, is not an error. The typ may be absent, because it is only
// recommended (RFC 8417 section 2.3). The claim events distinguishes the token
// from others: no access token may have it. Errors are those of token.Verifier
// and [ErrSubject].
func (p *Provider) Event(ctx context.Context, raw string) (Ending, error) {
	c, err := p.verifier.VerifyStatement(ctx, raw, token.StatementRules{
		MediaTypes: []string{"secevent+jwt", ""}, Issuer: p.eventIssuer, Audience: p.clientIDs, MaxAge: maxStatementAge,
	})
	if err != nil {
		return Ending{}, err
	}
	events, err := eventsOf(c)
	if err != nil {
		return Ending{}, err
	}
	all := Ending{ID: p.verifier.Qualify(c.ID)}
	for _, name := range endingEvents {
		value, found := events[name]
		if !found {
			continue
		}
		ending, err := p.eventEnding(c, value)
		if err != nil {
			return Ending{}, err
		}
		all.doubtful = ending.doubtful && (all.doubtful || len(all.Revocations) == 0)
		all.Revocations = append(all.Revocations, ending.Revocations...)
	}
	if _, logout := events[logoutEvent]; logout && len(all.Revocations) == 0 {
		return Ending{}, &token.Error{Kind: token.ErrClaims, Detail: "it is a logout token, which is sent to another address"}
	}
	return all, nil
}

// eventEnding returns the Ending of value, a session-ending event of c.
func (p *Provider) eventEnding(c *token.Claims, value jsontext.Value) (Ending, error) {
	var (
		e      event
		claims struct {
			Subject *identifier `json:"sub_id"`
		}
	)
	if err := errors.Join(json.Unmarshal(value, &e), c.Decode(&claims)); err != nil {
		return Ending{}, &token.Error{Kind: token.ErrClaims, Detail: "sub_id or an event has members of wrong types"}
	}
	subject := claims.Subject
	if subject == nil {
		subject = e.Subject
	}
	t, err := p.target(subject, c)
	if err != nil {
		return Ending{}, err
	}
	return p.ending(c, t, e.moment(c.IssuedAt))
}

// moment returns the time of the event, a NumericDate that may have a fraction
// (CAEP 1.0 section 2, RFC 7519 section 2). If it is invalid or later than
// issued, moment returns issued. This may end more sessions than necessary, but
// not fewer.
func (e event) moment(issued time.Time) time.Time {
	seconds, err := strconv.ParseFloat(string(e.Timestamp), 64)
	if err != nil || seconds <= 0 || seconds >= float64(issued.Unix()) {
		return issued
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9))
}

// target returns the user or session that i names. If i is nil, the sub of c
// names the user.
func (p *Provider) target(i *identifier, c *token.Claims) (target, error) {
	if i == nil {
		return p.userOf(c).checked()
	}
	switch i.format() {
	case "iss_sub":
		if i.Issuer != p.issuer && i.Issuer != p.eventIssuer {
			return target{}, fmt.Errorf("%w: its iss is that of another issuer", ErrSubject)
		}
		return userTarget(i.Subject).checked()
	case "email": // RFC 9493 section 3.2.2
		if p.subject != "email" && p.subject != "/email" {
			return target{}, fmt.Errorf("%w: access tokens name the user by %s, not by email", ErrSubject, p.subject)
		}
		t := userTarget(i.Email)
		t.mapped = true
		return t.checked()
	case "opaque": // names a user or a session; the two cannot collide
		t := userTarget(i.ID)
		t.session, t.ambiguous = i.ID, true
		return t.checked()
	case "complex", "": // earlier drafts had no format here
		return p.complexTarget(i, c)
	}
	return target{}, fmt.Errorf("%w: format %.20q", ErrSubject, i.format())
}

// complexTarget returns the session and the user that a complex identifier
// names (CAEP 1.0 section 2.1).
func (p *Provider) complexTarget(i *identifier, c *token.Claims) (target, error) {
	var t target
	if i.Session != nil && i.Session.format() == "opaque" {
		t.session = i.Session.ID
	}
	if i.User != nil && slices.Contains([]string{"iss_sub", "email", "opaque"}, i.User.format()) {
		user, err := p.target(i.User, c)
		if err != nil {
			return target{}, err
		}
		t.users, t.mapped = user.users, user.mapped
	}
	return t.checked()
}

// userTarget returns the target of the user with this name.
func userTarget(user string) target {
	if user == "" {
		return target{}
	}
	return target{users: []string{user}}
}

// checked returns t, or ErrSubject if t is empty.
func (t target) checked() (target, error) {
	if t.session == "" && len(t.users) == 0 {
		return target{}, ErrSubject
	}
	return t, nil
}
