package token

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var (
	// nameClaims are those that a namespace qualifies.
	nameClaims = []string{"sub", "sid", "jti"}

	// mappedClaims are those that a [Profile] decides on beside.
	mappedClaims = []string{"aud", "type", "fresh", "csrf", "scope", "scp", "roles"}

	// checkedClaims stay as they were signed.
	checkedClaims = []string{"iss", "exp", "nbf", "iat"}

	// subjectObjects are claims that name a user of the issuer in an object:
	// the actor of RFC 8693 §4.1 and §4.4, the subject of RFC 9493 §4.
	subjectObjects = []string{"act", "may_act", "sub_id"}
)

// rewrite replaces the payload of a token of another issuer by one that says
// what c says, because everything downstream may read it: rules, headers,
// assertions, tickets and the application. No raw name or role of the issuer
// is left under a name that has a meaning of ours, in whatever case.
func (v *Verifier) rewrite(c *Claims) error {
	if v.profile == nil && v.namespace == "" {
		return nil
	}
	var all map[string]jsontext.Value
	if err := json.Unmarshal([]byte(c.payload), &all); err != nil {
		return refuse(ErrClaims, "a claim has no Go type")
	}
	says := map[string]any{"sub": c.Subject}
	if c.SessionID != "" {
		says["sid"] = c.SessionID
	}
	if id, found := all["jti"]; found && !isAbsent(id) {
		says["jti"] = c.ID
	}
	replaced := nameClaims
	if v.profile != nil {
		v.profile.describe(c, all, says)
		replaced = slices.Concat(nameClaims, mappedClaims, v.profile.dotted())
	}
	for name, value := range all {
		switch {
		case isTwin(replaced, name), isTwin(checkedClaims, name) && !slices.Contains(checkedClaims, name):
		case v.namespace != "" && slices.Contains(subjectObjects, name):
			says[name] = v.qualifyObject(c.Issuer, value)
		case v.namespace != "" && isTwin(subjectObjects, beforeDot(name)): // a twin, or one that looks like a member
		default:
			says[name] = value
		}
	}
	payload, err := json.Marshal(says, json.Deterministic(true))
	if err != nil {
		return refuse(ErrClaims, "a claim cannot be encoded")
	}
	c.payload = string(payload)
	return nil
}

// isTwin reports whether name is one of names in any case. Some readers of
// JSON, encoding/json among them, do not tell such names apart.
func isTwin(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// beforeDot returns what of a name is before its first dot.
func beforeDot(name string) string {
	first, _, _ := strings.Cut(name, ".")
	return first
}

// dotted returns the claims that lie deeper as names with dots, by which rules
// and headers ask for them. A claim that has such a name itself would come
// before the one that p has read.
func (p *Profile) dotted() []string {
	var all []string
	for _, name := range [...]string{p.Subject, p.SessionID, p.Audience, p.Scopes, p.Roles} {
		if strings.Count(name, "/") > 1 && name[0] == '/' {
			all = append(all, strings.Join(slices.Collect(jsontext.Pointer(name).Tokens()), "."))
		}
	}
	return all
}

// describe adds to says what p has read into c. Of all, the claims as they
// were signed, only the source of the scopes may be among mappedClaims.
func (p *Profile) describe(c *Claims, all map[string]jsontext.Value, says map[string]any) {
	says["type"], says["fresh"] = c.Type, c.Fresh
	if aud := audienceValue(nil, c.Audience); aud != nil {
		says["aud"] = aud
	}
	if len(c.Roles) > 0 {
		says["roles"] = c.Roles
	}
	if len(c.Scopes) == 0 {
		return
	}
	says["scope"] = strings.Join(c.Scopes, " ")
	if slices.ContainsFunc(c.Scopes, func(s string) bool { return strings.Contains(s, " ") }) {
		says["scope"] = c.Scopes // in a string, one scope would look like several
	}
	if p.Scopes == "scp" {
		says["scp"] = all["scp"]
	}
}

// qualifyObject puts the namespace in front of the sub of an object, and of
// the actors within it. An object of another issuer names no user of this one.
func (v *Verifier) qualifyObject(issuer string, value jsontext.Value) any {
	var object map[string]jsontext.Value
	if value.Kind() != '{' || json.Unmarshal(value, &object) != nil {
		return value
	}
	if of, found := object["iss"]; found {
		var text string
		if json.Unmarshal(of, &text) != nil || text != issuer {
			return value
		}
	}
	qualified := make(map[string]any, len(object))
	for name, member := range object {
		var subject string
		switch {
		case name == "act":
			qualified[name] = v.qualifyObject(issuer, member)
		case name == "sub" && json.Unmarshal(member, &subject) == nil:
			qualified[name] = v.Qualify(subject)
		case !strings.EqualFold(name, "sub"):
			qualified[name] = member
		}
	}
	return qualified
}
