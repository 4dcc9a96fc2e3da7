package token

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Type is the kind of a token, its "type" claim. A token of one kind never
// passes for another; whoever asks for a token says which kind it wants.
type Type string

// The kinds that an [Issuer] makes.
const (
	TypeAccess  Type = "access"
	TypeRefresh Type = "refresh"

	// TypeAssertion is what a gateway tells an upstream; it opens nothing.
	TypeAssertion Type = "assertion"
)

// Claims is what a verified token says. Strings are at most 256 bytes of valid
// UTF-8 without control characters or directional overrides.
type Claims struct {
	Subject   string    // sub, never empty
	Issuer    string    // iss
	ID        string    // names this token: jti, or without one a hash of it
	Audience  []string  // aud, a single one too
	ExpiresAt time.Time // exp, never zero
	NotBefore time.Time // nbf, zero when absent
	IssuedAt  time.Time // iat, zero when absent
	Type      Type      // type
	Fresh     bool      // fresh: made from a password, not from a refresh token
	CSRF      string    // csrf: the value that a request must repeat
	SessionID string    // sid: the login that this token belongs to
	Scopes    []string  // what the token allows; set by a [Profile] only
	Roles     []string  // what the user is; set by a [Profile] only

	// IssuerSubject is the sub of a token whose Subject is another claim, ""
	// otherwise. It is a second name of the user: statements of the issuer,
	// such as logout tokens, know no other, so that revocations find it.
	IssuerSubject string

	payload      string
	leeway       time.Duration
	issuedLeeway time.Duration

	authorizedParty string // who asked for the token; read by a Profile, for the verifier
}

// Payload returns the claims as a JSON object, in a copy. Those of our own
// tokens are as they were signed, byte for byte, but for a sub that is an
// integer, which is a string. In those of a token that was
// verified with a Namespace or a [Profile], the claims above stand as they are
// above: sub, sid and jti have the namespace, roles and scope come from where
// the profile says, and members that differ from any of them only in case are
// left out. All other members are as they were signed.
func (c *Claims) Payload() []byte { return []byte(c.payload) }

// Decode reads [Claims.Payload] into v, as for claims that are not in Claims.
// Names are matched exactly, by the `json` tags of v.
func (c *Claims) Decode(v any) error {
	if err := json.Unmarshal([]byte(c.payload), v); err != nil {
		return fmt.Errorf("token: claims do not fit %T: %w", v, err)
	}
	return nil
}

// ValidUntil returns ExpiresAt plus the leeway of the verifier: a session that
// began with this token lives until then.
func (c *Claims) ValidUntil() time.Time { return c.ExpiresAt.Add(c.leeway) }

// IssuedFrom returns the earliest moment at which the token can have been
// issued by the clock of the verifier: IssuedAt minus the leeway that it
// allows for iat. It is zero where there is no iat.
func (c *Claims) IssuedFrom() time.Time {
	if c.IssuedAt.IsZero() {
		return time.Time{}
	}
	return c.IssuedAt.Add(-c.issuedLeeway)
}

// String tells whose token it is and until when, and leaves out the CSRF value
// and the claims that this package does not know.
func (c Claims) String() string {
	return fmt.Sprintf("token.Claims(%s of %q, jti %q, sid %q, until %s)",
		c.Type, c.Subject, c.ID, c.SessionID, c.ExpiresAt.UTC().Format(time.RFC3339))
}

// GoString is String, for %#v.
func (c Claims) GoString() string { return c.String() }

// LogValue is String, for slog.
func (c Claims) LogValue() slog.Value { return slog.StringValue(c.String()) }

// clone is a copy that shares nothing which a caller could change.
func (c *Claims) clone() *Claims {
	copied := *c
	copied.Audience = slices.Clone(c.Audience)
	copied.Scopes = slices.Clone(c.Scopes)
	copied.Roles = slices.Clone(c.Roles)
	return &copied
}

// LookupName returns a claim of [Claims.Payload] that names somebody, found by
// its name or by a JSON Pointer as a [Profile] names claims: a string, or an
// integer in its digits if integers is set. It is "" for any other value.
// found is false where there is none, or one that is null or empty.
func (c *Claims) LookupName(name string, integers bool) (text string, found bool) {
	var all map[string]any
	if json.Unmarshal([]byte(c.payload), &all) != nil {
		return "", false
	}
	v, _ := claim(all, name)
	switch v := v.(type) {
	case string:
		return v, v != ""
	case float64:
		if integers {
			text, _ = integerText(rawClaim(c.payload, name))
		}
	}
	return text, v != nil
}

// HasSubject reports whether name is a name of the user: Subject or
// IssuerSubject. The empty name is nobody's.
func (c *Claims) HasSubject(name string) bool {
	return name != "" && (name == c.Subject || name == c.IssuerSubject)
}

// readClaims reads a payload strictly, and by the profile of its issuer if that
// has one. It checks types, not values: that is for the verifier.
func (s *scratch) readClaims(payload []byte, how reading) (*Claims, error) {
	c := &Claims{payload: string(payload)}
	visit := c.readMember
	switch {
	case how.profile != nil:
		visit = c.readUnprofiled
	case how.integerSubject:
		return c, s.readIntegerSubject(c, payload)
	}
	if err := s.object.read(payload, visit); err != nil {
		return nil, payloadError(err)
	}
	if how.profile != nil {
		return c, how.profile.apply(c, how.integerSubject)
	}
	return c, nil
}

// A reading says how a payload is read.
type reading struct {
	profile        *Profile // nil for our own claims
	integerSubject bool     // see VerifierConfig.IntegerSubjects
}

// readIntegerSubject reads our own claims, of which sub may be an integer. The
// payload then has it as the string that everybody else sees.
func (s *scratch) readIntegerSubject(c *Claims, payload []byte) error {
	at, size := 0, 0
	err := s.object.read(payload, func(m member) error {
		if string(m.name) != "sub" || jsontext.Value(m.value).Kind() != '0' {
			return c.readMember(m)
		}
		text, isInteger := integerText(m.value)
		if !isInteger {
			return refuse(ErrClaims, "sub is a number that is no integer of at most 53 bits")
		}
		c.Subject, at, size = text, m.at, len(m.value)
		return nil
	})
	if err != nil {
		return payloadError(err)
	}
	if size > 0 {
		c.payload = c.payload[:at] + `"` + c.Subject + `"` + c.payload[at+size:]
	}
	return nil
}

// maxInteger is the largest integer that every reader of JSON reads exactly
// (RFC 7493 §2.2).
const maxInteger = 1<<53 - 1

// readMember takes in a claim that we know.
func (c *Claims) readMember(m member) (err error) {
	switch string(m.name) {
	case "sub":
		c.Subject, err = c.stringClaim(m)
	case "iss":
		c.Issuer, err = c.stringClaim(m)
	case "jti":
		c.ID, err = c.stringClaim(m)
	case "csrf":
		c.CSRF, err = c.stringClaim(m)
	case "sid":
		c.SessionID, err = c.stringClaim(m)
	case "type":
		var kind string
		kind, err = c.stringClaim(m)
		c.Type = Type(kind)
	case "aud":
		c.Audience, err = c.audienceClaim(m)
	case "exp":
		c.ExpiresAt, err = dateClaim(m)
	case "nbf":
		c.NotBefore, err = dateClaim(m)
	case "iat":
		c.IssuedAt, err = dateClaim(m)
	case "fresh":
		c.Fresh, err = boolClaim(m)
	}
	return err
}

// readUnprofiled is readMember without the claims that a profile reads.
func (c *Claims) readUnprofiled(m member) error {
	if slices.Contains(profiled, string(m.name)) || string(m.name) == "jti" && isAbsent(m.value) {
		return nil
	}
	return c.readMember(m)
}

// isAbsent is absent for JSON that has not been decoded.
func isAbsent(value []byte) bool { return string(value) == "null" || string(value) == `""` }

// profiled are the claims that another issuer means in its own way, if at all.
var profiled = []string{"sub", "aud", "sid", "type", "fresh", "csrf"}

// otherKinds are claims by which tokens of other libraries say of what kind
// they are, and accessKinds what they say of an access token.
var (
	otherKinds  = []string{"token_type", "token_use", "typ", "use"}
	accessKinds = []any{"access", "access_token", "Access", "bearer", "Bearer"}
)

// mayBeAccess reports whether nothing in a token without a type says that it
// is another one than an access token.
func (c *Claims) mayBeAccess() bool {
	var all map[string]any
	if json.Unmarshal([]byte(c.payload), &all) != nil {
		return false
	}
	for _, name := range [...]string{"nonce", "at_hash", "events"} {
		if _, found := all[name]; found {
			return false
		}
	}
	return !slices.ContainsFunc(otherKinds, func(name string) bool {
		kind, found := all[name]
		return found && !slices.Contains(accessKinds, kind)
	})
}

// payloadError is the refusal for an error of the object reader.
func payloadError(err error) error {
	if refusal, ok := errors.AsType[*Error](err); ok {
		return refusal
	}
	return refuse(ErrMalformed, "payload: "+err.Error())
}

// stringClaim shares the memory of the payload when it can.
func (c *Claims) stringClaim(m member) (string, error) {
	if string(m.name) == "sub" && jsontext.Value(m.value).Kind() == '0' {
		return "", errNumericSubject
	}
	if m.value[0] != '"' {
		return "", refuse(ErrClaims, string(m.name)+" is not a string")
	}
	text, err := unquote(c.payload[m.at : m.at+len(m.value)])
	if err != nil {
		return "", refuse(ErrMalformed, "payload: "+errNotStrict.Error())
	}
	if text == "" {
		return "", refuse(ErrClaims, string(m.name)+" is empty")
	}
	if fault := nameFault(text); fault != "" {
		return "", refuse(ErrClaims, string(m.name)+" "+fault)
	}
	return text, nil
}

var errNumericSubject = refuse(ErrClaims, "sub is a number; the setting integer_subjects (IntegerSubjects) accepts an integer")

// audienceClaim is a string or an array of strings (RFC 7519 §4.1.3).
func (c *Claims) audienceClaim(m member) ([]string, error) {
	if m.value[0] != '[' {
		audience, err := c.stringClaim(m)
		return []string{audience}, err
	}
	var audience []string
	if err := json.Unmarshal(m.value, &audience); err != nil {
		return nil, refuse(ErrClaims, "aud is not an array of strings")
	}
	if len(audience) == 0 {
		return nil, refuse(ErrClaims, "aud is empty")
	}
	for _, a := range audience {
		if a == "" {
			return nil, refuse(ErrClaims, "aud has an empty string")
		}
		if fault := nameFault(a); fault != "" {
			return nil, refuse(ErrClaims, "aud "+fault)
		}
	}
	return audience, nil
}

// maxDate is the last second of the year 9999, the last that RFC 3339 can write.
const maxDate = 253402300799

// dateClaim is a NumericDate: seconds since 1970, which may have a fraction or
// an exponent (RFC 7519 §2).
func dateClaim(m member) (time.Time, error) {
	if kind := jsontext.Value(m.value).Kind(); kind != '0' {
		return time.Time{}, refuse(ErrClaims, string(m.name)+" is not a number")
	}
	// Nearly every date is a plain integer, which takes less time and less stack.
	if seconds, err := strconv.ParseUint(string(m.value), 10, 64); err == nil && seconds <= maxDate {
		return time.Unix(int64(seconds), 0), nil
	}
	seconds, err := strconv.ParseFloat(string(m.value), 64)
	if err != nil || seconds < 0 || seconds > maxDate {
		return time.Time{}, refuse(ErrClaims, string(m.name)+" is not a date from 1970 to 9999")
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}

func boolClaim(m member) (bool, error) {
	switch m.value[0] {
	case 't':
		return true, nil
	case 'f':
		return false, nil
	}
	return false, refuse(ErrClaims, string(m.name)+" is not true or false")
}
