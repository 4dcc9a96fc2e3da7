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

// Type is the "type" claim of a token. A token of one type is never accepted
// as another; the caller states which type it expects.
type Type string

// The types that an [Issuer] issues.
const (
	TypeAccess  Type = "access"
	TypeRefresh Type = "refresh"

	// TypeAssertion is a token that tells an upstream server who the user is.
	// It is not accepted as a credential.
	TypeAssertion Type = "assertion"
)

// Claims are the claims of a verified token. Strings are at most 256 bytes of
// valid UTF-8 without control characters or directional overrides.
type Claims struct {
	Subject string // sub, never empty
	Issuer  string // iss
	// identifies this token: jti or, without one, a hash of the signing input
	ID        string
	Audience  []string  // aud, also when it is a single string
	ExpiresAt time.Time // exp, never zero
	NotBefore time.Time // nbf, zero when absent
	IssuedAt  time.Time // iat, zero when absent
	Type      Type      // type
	Fresh     bool      // fresh: issued in exchange for a password, not for a refresh token
	CSRF      string    // csrf: the value that a request must repeat
	SessionID string    // sid: the session that this token belongs to
	// sid_gen: the number of refreshes of the session before this token, 0 when
	// absent; set only in our own tokens
	Generation uint64
	Scopes     []string // permissions of the token; set only by a [Profile]
	Roles      []string // roles of the user; set only by a [Profile]

	// IssuerSubject is the sub of a token whose Subject comes from another
	// claim, and empty otherwise. It is a second name of the user: logout
	// tokens and other statements of the issuer use it, so a revocation by
	// this name must find the user.
	IssuerSubject string

	payload      string
	leeway       time.Duration
	issuedLeeway time.Duration

	// the client that requested the token; set only by a Profile
	authorizedParty string
}

// Payload returns a copy of the claims as a JSON object. For our own tokens,
// the bytes are exactly those that were signed, except that an integer sub
// becomes a string.
//
// If the token was verified with a Namespace or a [Profile], the payload
// agrees with the fields of Claims: sub, sid and jti have the namespace, roles
// and scope come from the claims that the profile names, and members that
// differ from these only in case are removed. All other members are as they
// were signed.
func (c *Claims) Payload() []byte { return []byte(c.payload) }

// Decode unmarshals [Claims.Payload] into v. Use it for claims that have no
// field in Claims. Names are matched exactly, by the `json` tags of v.
func (c *Claims) Decode(v any) error {
	if err := json.Unmarshal([]byte(c.payload), v); err != nil {
		return fmt.Errorf("token: claims do not fit %T: %w", v, err)
	}
	return nil
}

// ValidUntil returns ExpiresAt plus the leeway of the verifier. A socket that
// was opened with this token may live until then.
func (c *Claims) ValidUntil() time.Time { return c.ExpiresAt.Add(c.leeway) }

// IssuedFrom returns the earliest time at which the token can have been issued
// by the clock of the verifier: IssuedAt minus the leeway for iat. It is zero
// if the token has no iat.
func (c *Claims) IssuedFrom() time.Time {
	if c.IssuedAt.IsZero() {
		return time.Time{}
	}
	return c.IssuedAt.Add(-c.issuedLeeway)
}

// String describes the token by its user, IDs and expiry. It leaves out the
// CSRF value and all claims that have no field in Claims.
func (c Claims) String() string {
	return fmt.Sprintf("token.Claims(%s of %q, jti %q, sid %q, until %s)",
		c.Type, c.Subject, c.ID, c.SessionID, c.ExpiresAt.UTC().Format(time.RFC3339))
}

// GoString returns String, for %#v.
func (c Claims) GoString() string { return c.String() }

// LogValue returns String, for slog.
func (c Claims) LogValue() slog.Value { return slog.StringValue(c.String()) }

// clone returns a deep copy of c.
func (c *Claims) clone() *Claims {
	copied := *c
	copied.Audience = slices.Clone(c.Audience)
	copied.Scopes = slices.Clone(c.Scopes)
	copied.Roles = slices.Clone(c.Roles)
	return &copied
}

// LookupName returns a claim of [Claims.Payload] that holds a name. The claim
// is given by its name or by a JSON Pointer, as in a [Profile]. It must be a
// string or, if integers is set, an integer, which is returned in decimal; for
// any other value text is empty. found is false if the claim is absent, null
// or empty.
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

// HasSubject reports whether name is a non-empty name of the user, that is
// Subject or IssuerSubject.
func (c *Claims) HasSubject(name string) bool {
	return name != "" && (name == c.Subject || name == c.IssuerSubject)
}

// readClaims parses a payload strictly, with the profile of its issuer if
// there is one. It checks types; the verifier checks values.
func (s *scratch) readClaims(payload []byte, options reading) (*Claims, error) {
	c := &Claims{payload: string(payload)}
	visit := c.readMember
	switch {
	case options.profile != nil:
		visit = c.readUnprofiled
	case options.integerSubject:
		return c, s.readIntegerSubject(c, payload)
	}
	if err := s.object.read(payload, visit); err != nil {
		return nil, payloadError(err)
	}
	if options.profile != nil {
		return c, options.profile.apply(c, options.integerSubject)
	}
	return c, nil
}

// A reading holds the options for parsing a payload.
type reading struct {
	profile        *Profile // nil for our own claims
	integerSubject bool     // see VerifierConfig.IntegerSubjects
}

// readIntegerSubject parses our own claims, with a sub that may be an integer.
// In the payload, it replaces the integer by a string.
func (s *scratch) readIntegerSubject(c *Claims, payload []byte) error {
	at, size := 0, 0
	err := s.object.read(payload, func(m member) error {
		if string(m.name) != "sub" || jsontext.Value(m.value).Kind() != '0' {
			return c.readMember(m)
		}
		text, isInteger := integerText(m.value)
		if !isInteger {
			return refuse(ErrClaims, "sub is a number, but not an integer of at most 53 bits")
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

// maxInteger is the largest integer that every JSON reader reads exactly (RFC
// 7493 section 2.2).
const maxInteger = 1<<53 - 1

// readMember stores a claim in its field. Unknown claims are ignored.
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
	case "sid_gen":
		c.Generation, err = countClaim(m)
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

// isAbsent is like absent, for undecoded JSON.
func isAbsent(value []byte) bool { return string(value) == "null" || string(value) == `""` }

// profiled lists the claims whose meaning differs among issuers.
var profiled = []string{"sub", "aud", "sid", "sid_gen", "type", "fresh", "csrf"}

// otherKinds lists the claims in which other libraries store the type of a
// token. accessKinds lists the values that mean an access token.
var (
	otherKinds  = []string{"token_type", "token_use", "typ", "use"}
	accessKinds = []any{"access", "access_token", "Access", "bearer", "Bearer"}
)

// mayBeAccess reports whether a token without a type may be an access token: it
// has no claim that is typical of another type.
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

// payloadError turns an error of the object reader into a refusal.
func payloadError(err error) error {
	if refusal, ok := errors.AsType[*Error](err); ok {
		return refusal
	}
	return refuse(ErrMalformed, "payload: "+err.Error())
}

// stringClaim returns a string that shares the memory of the payload if it has
// no escapes.
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

// audienceClaim reads a string or an array of strings (RFC 7519 section 4.1.3).
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

// maxDate is the last second of the year 9999, which is the last that RFC 3339
// can express.
const maxDate = 253402300799

// dateClaim reads a NumericDate: seconds since 1970, possibly with a fraction
// or an exponent (RFC 7519 section 2).
func dateClaim(m member) (time.Time, error) {
	if kind := jsontext.Value(m.value).Kind(); kind != '0' {
		return time.Time{}, refuse(ErrClaims, string(m.name)+" is not a number")
	}
	// Nearly every date is a plain integer; parsing it as one takes less time
	// and less stack.
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

func countClaim(m member) (uint64, error) {
	n, err := strconv.ParseUint(string(m.value), 10, 64)
	if err != nil || n > maxInteger {
		return 0, refuse(ErrClaims, string(m.name)+" is not a whole number of at most 53 bits")
	}
	return n, nil
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
