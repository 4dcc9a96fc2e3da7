package token

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var (
	// nameClaims lists the claims that a namespace qualifies.
	nameClaims = []string{"sub", "sid", "jti"}

	// mappedClaims lists further claims that a [Profile] determines.
	mappedClaims = []string{"aud", "type", "fresh", "csrf", "scope", "scp", "roles"}

	// checkedClaims lists the claims that stay as they were signed.
	checkedClaims = []string{"iss", "exp", "nbf", "iat"}

	// subjectObjects lists claims that name a user of the issuer within an object:
	// the actor of RFC 8693 sections 4.1 and 4.4, the subject of RFC 9493 section
	// 4.
	subjectObjects = []string{"act", "may_act", "sub_id"}
)

// rewrite makes the payload of another issuer's token agree with c, because
// everything downstream may read the payload: rules, headers, assertions,
// tickets and the application. Claims with a meaning in our own tokens never
// keep the issuer's unqualified names or roles, whether in upper or lower case.
func (v *Verifier) rewrite(c *Claims) error {
	if v.profile == nil && v.namespace == "" {
		return nil
	}
	var all map[string]jsontext.Value
	if err := json.Unmarshal([]byte(c.payload), &all); err != nil {
		return refuse(ErrClaims, "a claim has no Go type")
	}
	rewritten := map[string]any{"sub": c.Subject}
	if c.SessionID != "" {
		rewritten["sid"] = c.SessionID
	}
	if id, found := all["jti"]; found && !isAbsent(id) {
		rewritten["jti"] = c.ID
	}
	replaced := nameClaims
	if v.profile != nil {
		v.profile.describe(c, all, rewritten)
		replaced = slices.Concat(nameClaims, mappedClaims, v.profile.dotted())
	}
	for name, value := range all {
		switch {
		case isTwin(replaced, name), isTwin(checkedClaims, name) && !slices.Contains(checkedClaims, name):
		case v.namespace != "" && slices.Contains(subjectObjects, name):
			rewritten[name] = v.qualifyObject(c.Issuer, value)
		// Dropped: a name that differs from those in case only, or that looks
		// like a member of such an object.
		case v.namespace != "" && isTwin(subjectObjects, beforeDot(name)):
		default:
			rewritten[name] = value
		}
	}
	payload, err := json.Marshal(rewritten, json.Deterministic(true))
	if err != nil {
		return refuse(ErrClaims, "a claim cannot be encoded")
	}
	c.payload = string(payload)
	return nil
}

// isTwin reports whether name equals one of names, ignoring case. Some JSON
// readers, encoding/json among them, do not distinguish such names.
func isTwin(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// beforeDot returns the part of name before its first dot.
func beforeDot(name string) string {
	first, _, _ := strings.Cut(name, ".")
	return first
}

// dotted returns the dotted names by which rules and headers refer to the
// nested claims that p reads. A top-level claim with such a name would take
// precedence over the nested one.
func (p *Profile) dotted() []string {
	var all []string
	for _, name := range [...]string{p.Subject, p.SessionID, p.Audience, p.Scopes, p.Roles} {
		if strings.Count(name, "/") > 1 && name[0] == '/' {
			all = append(all, strings.Join(slices.Collect(jsontext.Pointer(name).Tokens()), "."))
		}
	}
	return all
}

// describe adds the fields of c that p has read to rewritten. The scopes keep
// the claim scp if they came from it; all other mappedClaims get new values.
func (p *Profile) describe(c *Claims, all map[string]jsontext.Value, rewritten map[string]any) {
	rewritten["type"], rewritten["fresh"] = c.Type, c.Fresh
	if aud := audienceValue(nil, c.Audience); aud != nil {
		rewritten["aud"] = aud
	}
	if len(c.Roles) > 0 {
		rewritten["roles"] = c.Roles
	}
	if len(c.Scopes) == 0 {
		return
	}
	rewritten["scope"] = strings.Join(c.Scopes, " ")
	if slices.ContainsFunc(c.Scopes, func(s string) bool { return strings.Contains(s, " ") }) {
		// In a string, a scope with a space would look like several scopes.
		rewritten["scope"] = c.Scopes
	}
	if p.Scopes == "scp" {
		rewritten["scp"] = all["scp"]
	}
}

// qualifyObject puts the namespace in front of the sub of an object and of the
// actors nested in it. If the object has another issuer, it names no user of
// this one and is returned unchanged.
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
