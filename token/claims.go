package token

import "time"

// Type is the kind of a token, its "type" claim. A token of one kind never
// passes for another; whoever asks for a token says which kind it wants.
type Type string

// The kinds that an [Issuer] makes.
const (
	TypeAccess  Type = "access"
	TypeRefresh Type = "refresh"
)

// Claims is what a verified token says. Strings are at most 256 bytes of valid
// UTF-8 without control characters or directional overrides.
type Claims struct {
	Subject   string    // sub, never empty
	Issuer    string    // iss
	ID        string    // jti, the name of this token
	Audience  []string  // aud, a single one too
	ExpiresAt time.Time // exp, never zero
	NotBefore time.Time // nbf, zero when absent
	IssuedAt  time.Time // iat, zero when absent
	Type      Type      // type
	Fresh     bool      // fresh: made from a password, not from a refresh token
	CSRF      string    // csrf: the value that a request must repeat
	SessionID string    // sid: the login that this token belongs to

	payload string
	leeway  time.Duration
}

// Payload returns the JSON object as it was signed, byte for byte. The caller
// owns it.
func (c *Claims) Payload() []byte { return []byte(c.payload) }

// Decode reads the payload into v, as for claims that are not in Claims. Names
// are matched exactly, by the `json` tags of v.
func (c *Claims) Decode(v any) error { return errTODO }

// ValidUntil returns ExpiresAt plus the leeway of the verifier: a session that
// began with this token lives until then.
func (c *Claims) ValidUntil() time.Time { return c.ExpiresAt.Add(c.leeway) }
