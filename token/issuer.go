package token

import (
	"log/slog"
	"time"
)

// IssuerConfig says how tokens are made.
type IssuerConfig struct {
	// Key signs. Required, and it must be able to.
	Key *Key

	// Issuer is the iss of every token. Empty: none.
	Issuer string

	// Audience is the aud of every token that does not choose another.
	// Empty: none.
	Audience []string

	// AccessTTL and RefreshTTL are how long tokens live: 1 s to 366 days,
	// in whole seconds. Defaults: 15 minutes and 30 days.
	AccessTTL  time.Duration
	RefreshTTL time.Duration
}

// Options vary one token.
type Options struct {
	Fresh     bool          // access tokens only: the user has just logged in
	TTL       time.Duration // how long it lives; 0: the issuer's default
	Audience  []string      // aud; nil: the issuer's
	SessionID string        // sid, the login that the token belongs to
	CSRF      bool          // add a csrf claim, for a token that travels in a cookie
	Key       *Key          // sign with this key instead of the issuer's

	// Headers are added to the header of the token. They may not name a
	// parameter that JWS, JWE or JWT defines, whatever its case.
	Headers map[string]any

	// Claims are added to the payload, sorted by name. They may not name a
	// claim of [Claims], whatever its case.
	Claims map[string]any
}

// Issuer makes tokens. It is immutable and safe for concurrent use.
type Issuer struct{}

// NewIssuer reports every fault of the configuration at once, joined, each
// beginning with the name of its field.
func NewIssuer(c IssuerConfig) (*Issuer, error) { return nil, errTODO }

// Access makes an access token for subject. A token that the strict reader
// would refuse, or longer than 8192 bytes, is not made.
func (i *Issuer) Access(subject string, o Options) (*Token, error) { return nil, errTODO }

// Refresh makes a refresh token for subject, under the same rules as Access.
func (i *Issuer) Refresh(subject string, o Options) (*Token, error) { return nil, errTODO }

// Token is a signed token. Printing or logging it does not show Raw, which is
// a credential.
type Token struct {
	Raw    string
	Claims *Claims
}

// String names the token without giving it away.
func (t Token) String() string { return "" }

// GoString is String, for %#v.
func (t Token) GoString() string { return t.String() }

// LogValue is String, for slog.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }
