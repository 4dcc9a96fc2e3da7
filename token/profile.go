package token

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Profile describes the access tokens of an issuer other than wsauth: which
// claims hold what wsauth needs, and what distinguishes access tokens from
// others. The claims type, fresh and csrf of such tokens are ignored, because
// they have a meaning in our own tokens only.
//
// The user, audience, session, scopes and roles come only from the claims that
// the profile names. For example, a token without the claim that Roles names
// has no roles, even if it has a claim called roles.
//
// A claim is given by its name or, if it is nested or its name contains a
// slash, by a JSON Pointer (RFC 6901), such as "/realm_access/roles" or
// "/https:~1~1app.example~1roles".
type Profile struct {
	// Subject names the user; default sub. Users must not be able to choose
	// its value. If it is a claim called email, the issuer must have verified
	// the address (email_verified, OpenID Connect Core section 5.1).
	Subject string

	Audience  string // whom the token is for; default aud
	SessionID string // the session at the issuer; default sid
	Scopes    string // words separated by spaces, or an array; default scope
	Roles     string // an array or a single word; default none

	// AuthorizedParty names the client that requested the token; default azp.
	// See VerifierConfig.InsecureAuthorizedParty.
	AuthorizedParty string

	// RoleKeys allows Roles to be an object, as in Zitadel's tokens. Then the
	// roles are the names of its members, except those whose value is null or
	// false. Without RoleKeys, a token whose roles are an object is refused.
	RoleKeys bool

	// Require distinguishes access tokens from other tokens that the issuer
	// signs with the same keys: each of these claims must have one of the
	// listed values, or any value if the list is empty.
	Require map[string][]string

	// Refuse lists claims that no access token has, such as the nonce of an ID
	// token. The events of a logout token are always included.
	Refuse []string

	// FreshFor makes a token fresh if its auth_time (OpenID Connect Core section
	// 2) is not after its iat and at most this long before it. 0: no token is
	// fresh.
	FreshFor time.Duration
}

// noParty represents an authorized party that is not a string. No name equals
// it.
const noParty = "\x00"

// withDefaults returns a validated copy of p with defaults set.
func (p *Profile) withDefaults() (*Profile, error) {
	if p == nil {
		return nil, nil
	}
	c := *p
	for name, byDefault := range map[*string]string{&c.Subject: "sub", &c.Audience: "aud", &c.SessionID: "sid", &c.Scopes: "scope", &c.AuthorizedParty: "azp"} {
		if *name == "" {
			*name = byDefault
		}
	}
	c.Refuse = append(slices.Clone(p.Refuse), "events")
	names := append([]string{c.Subject, c.Audience, c.SessionID, c.Scopes, c.AuthorizedParty}, c.Refuse...)
	for name, values := range p.Require {
		names = append(names, name)
		if slices.Contains(values, "") {
			return nil, fmt.Errorf("%q: an empty value", name)
		}
	}
	if c.Roles != "" {
		names = append(names, c.Roles)
	}
	for _, name := range names {
		if name == "" || name[0] == '/' && !jsontext.Pointer(name).IsValid() {
			return nil, fmt.Errorf("%q names no claim", name)
		}
	}
	if c.FreshFor < 0 {
		return nil, fmt.Errorf("FreshFor: %s is negative", c.FreshFor)
	}
	return &c, nil
}

// apply sets the fields of c from the claims that p names.
func (p *Profile) apply(c *Claims, integerSubject bool) error {
	var all map[string]any
	if err := json.Unmarshal([]byte(c.payload), &all); err != nil {
		return refuse(ErrClaims, "a claim has no Go type")
	}
	for _, name := range p.Refuse {
		if _, found := claim(all, name); found {
			return refuse(ErrClaims, "not an access token: it has "+name)
		}
	}
	for name, values := range p.Require {
		v, found := claim(all, name)
		text, _ := v.(string)
		if !found || len(values) > 0 && !slices.Contains(values, text) {
			return refuse(ErrClaims, "not an access token: "+name+" is missing or has another value")
		}
	}
	var err error
	if c.Subject, err = oneSubject(c, all, p.Subject, integerSubject); err != nil {
		return err
	}
	if err := p.otherSubject(c, all, integerSubject); err != nil {
		return err
	}
	if c.SessionID, err = oneName(all, p.SessionID); err != nil {
		return err
	}
	if c.Audience, err = names(all, p.Audience, false); err != nil {
		return err
	}
	if c.Scopes, err = optionalNames(all, p.Scopes, true); err != nil {
		return err
	}
	if c.Roles, err = p.roles(all); err != nil {
		return err
	}
	if party, _ := claim(all, p.AuthorizedParty); !absent(party) {
		if c.authorizedParty, _ = party.(string); c.authorizedParty == "" {
			c.authorizedParty = noParty
		}
	}
	c.Type = TypeAccess
	c.Fresh = p.fresh(c.IssuedAt, all["auth_time"])
	return nil
}

// otherSubject checks and reads the claims that accompany a Subject other than
// sub: for an email address, whether it was verified, and the sub, which
// statements of the issuer use. Some issuers, such as Apple, write
// email_verified as a string.
func (p *Profile) otherSubject(c *Claims, all map[string]any, integerSubject bool) error {
	if p.Subject == "sub" || p.Subject == "/sub" {
		return nil
	}
	if verified, isAddress := verifiedName(p.Subject); isAddress {
		if v, _ := claim(all, verified); v != true && v != "true" {
			return refuse(ErrClaims, p.Subject+" names the user, and "+verified+" is not true")
		}
	}
	raw, _ := all["sub"].(string)
	if _, isNumber := all["sub"].(float64); isNumber && integerSubject {
		raw, _ = integerText(rawClaim(c.payload, "sub"))
	}
	if fault := nameFault(raw); fault != "" {
		return refuse(ErrClaims, "sub "+fault)
	}
	c.IssuerSubject = raw
	return nil
}

// verifiedName returns the name of the claim that says whether an email address
// was verified. A claim holds an address if it is called email: the whole name,
// the last part of a pointer, or the part after a namespace, as in
// "https://app.example/email".
func verifiedName(name string) (verified string, isAddress bool) {
	of, found := strings.CutSuffix(name, "email")
	if !found || of != "" && !strings.ContainsAny(of[len(of)-1:], "/:.") && !(name[0] == '/' && strings.HasSuffix(of, "~1")) {
		return "", false
	}
	return of + "email_verified", true
}

// oneSubject returns the claim that names the user. It is like oneName, but if
// integers is set, the claim may also be an integer.
func oneSubject(c *Claims, all map[string]any, name string, integers bool) (string, error) {
	v, _ := claim(all, name)
	switch _, isNumber := v.(float64); {
	case isNumber && integers:
		text, isInteger := integerText(rawClaim(c.payload, name))
		if !isInteger {
			return "", refuse(ErrClaims, name+" is a number, but not an integer of at most 53 bits")
		}
		return text, nil
	case isNumber && name == "sub":
		return "", errNumericSubject
	}
	return oneName(all, name)
}

// integerText returns number if it is an integer in canonical form, without
// point, exponent, "-0" or leading zeros. Integers of more than 53 bits are
// rejected, because a reader could round two of them to the same value.
func integerText(number jsontext.Value) (string, bool) {
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != string(number) || n > maxInteger || n < -maxInteger {
		return "", false
	}
	return string(number), true
}

// rawClaim is like claim, but returns undecoded JSON. The strict reader must
// have accepted the payload.
func rawClaim(payload, name string) jsontext.Value {
	value := jsontext.Value(payload)
	names := slices.Values([]string{name})
	if name[0] == '/' {
		names = jsontext.Pointer(name).Tokens()
	}
	for name := range names {
		var object map[string]jsontext.Value
		if json.Unmarshal(value, &object) != nil {
			return nil
		}
		value = object[name]
	}
	return value
}

// roles reads the claim that holds the roles.
func (p *Profile) roles(all map[string]any) ([]string, error) {
	if p.Roles == "" {
		return nil, nil
	}
	v, _ := claim(all, p.Roles)
	object, isObject := v.(map[string]any)
	if !isObject {
		return optionalNames(all, p.Roles, false)
	}
	if !p.RoleKeys {
		return nil, refuse(ErrClaims, p.Roles+" is an object: the setting role_keys takes the names of its members as roles")
	}
	var list []string
	for name, value := range object {
		if value == nil || value == false {
			continue
		}
		if fault := nameFault(name); name == "" || fault != "" {
			return nil, refuse(ErrClaims, p.Roles+" has an entry that is not a name")
		}
		list = append(list, name)
	}
	slices.Sort(list)
	return list, nil
}

// fresh reports whether the user logged in at most FreshFor before the token
// was issued. A login after the issue does not make a token fresh.
func (p *Profile) fresh(issued time.Time, authTime any) bool {
	seconds, ok := authTime.(float64)
	if !ok || seconds < 0 || seconds > maxDate || issued.IsZero() || p.FreshFor == 0 {
		return false
	}
	age := issued.Sub(time.Unix(int64(seconds), 0))
	return age >= 0 && age <= p.FreshFor
}

// claim returns the claim with the given name or JSON Pointer. An empty name
// matches nothing.
func claim(all map[string]any, name string) (any, bool) {
	if name == "" {
		return nil, false
	}
	if name[0] != '/' {
		v, found := all[name]
		return v, found
	}
	var v any = all
	for token := range jsontext.Pointer(name).Tokens() {
		object, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = object[token]; !ok {
			return nil, false
		}
	}
	return v, true
}

// absent reports whether v is nil, null or an empty string. Issuers use all of
// these for a claim without a value.
func absent(v any) bool { return v == nil || v == "" }

// oneName returns a claim that must be absent or a valid name.
func oneName(all map[string]any, name string) (string, error) {
	v, _ := claim(all, name)
	if absent(v) {
		return "", nil
	}
	text, ok := v.(string)
	if fault := nameFault(text); !ok || fault != "" {
		return "", refuse(ErrClaims, name+" is not a name")
	}
	return text, nil
}

// optionalNames is like names, but the claim may also be an empty string.
func optionalNames(all map[string]any, name string, words bool) ([]string, error) {
	if v, _ := claim(all, name); absent(v) {
		return nil, nil
	}
	return names(all, name, words)
}

// names returns a claim that must be null, missing, a string or an array of
// strings. None of the strings may be empty. If words is set, a single string
// is split at spaces.
func names(all map[string]any, name string, words bool) ([]string, error) {
	v, _ := claim(all, name)
	if v == nil {
		return nil, nil
	}
	var list []string
	switch v := v.(type) {
	case string:
		list = []string{v}
		if words {
			list = strings.Fields(v)
		}
	case []any:
		for _, item := range v {
			text, _ := item.(string)
			list = append(list, text)
		}
	default:
		return nil, refuse(ErrClaims, name+" is neither a string nor an array of strings")
	}
	if len(list) == 0 && !words && name == "aud" {
		return nil, refuse(ErrClaims, "aud is empty")
	}
	for _, text := range list {
		if fault := nameFault(text); text == "" || fault != "" {
			return nil, refuse(ErrClaims, name+" has an entry that is not a name")
		}
	}
	return list, nil
}
