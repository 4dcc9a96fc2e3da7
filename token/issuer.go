package token

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	defaultAccessTTL  = 15 * time.Minute
	defaultRefreshTTL = 30 * 24 * time.Hour
)

// IssuerConfig configures an [Issuer].
type IssuerConfig struct {
	// Key signs the tokens, or chooses the key that does. Required; it must be
	// able to sign.
	Key Signer

	// Issuer is the iss of every token. Empty: none.
	Issuer string

	// Audience is the aud of every token, unless [Options] has another. Empty:
	// none.
	Audience []string

	// AccessTTL and RefreshTTL are the lifetimes of tokens: 1 s to 366 days,
	// rounded down to a second. Defaults: 15 minutes and 30 days.
	AccessTTL  time.Duration
	RefreshTTL time.Duration
}

// Options are the settings of a single token.
type Options struct {
	Fresh      bool          // the user has just logged in; false for refresh tokens
	TTL        time.Duration // lifetime; 0: the issuer's default
	Audience   []string      // aud; nil: the issuer's; empty: none
	ID         string        // jti; empty: a random one
	SessionID  string        // sid, the session that the token belongs to
	Generation uint64        // sid_gen, the number of refreshes of the session
	IssuedAt   time.Time     // iat and nbf; zero: now
	CSRF       bool          // add a csrf claim, for a token in a cookie
	Key        *Key          // sign with this key instead of the issuer's

	// Headers are added to the header of the token. They must not contain a
	// parameter that this package writes or refuses, in upper or lower case.
	Headers map[string]any

	// Claims are added to the payload, sorted by name. They must not contain a
	// claim of [Claims], in upper or lower case.
	Claims map[string]any
}

// Issuer issues tokens. It is safe for concurrent use. It is immutable, except
// that its Signer may choose another key for each token.
type Issuer struct {
	key        Signer
	issuer     string
	audience   []string
	accessTTL  time.Duration
	refreshTTL time.Duration
}

// NewIssuer validates c and returns an Issuer. It reports all errors in c at
// once, joined, each beginning with the name of its field.
func NewIssuer(c IssuerConfig) (*Issuer, error) {
	i := &Issuer{
		key:        c.Key,
		issuer:     c.Issuer,
		audience:   slices.Clone(c.Audience),
		accessTTL:  orDefault(c.AccessTTL, defaultAccessTTL),
		refreshTTL: orDefault(c.RefreshTTL, defaultRefreshTTL),
	}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if c.Key == nil {
		fault("Key: required, with its private half")
	} else if _, err := c.Key.SigningKey(); err != nil {
		fault("Key: required, with its private half: %w", err)
	}
	checkParties(fault, c.Issuer, c.Audience)
	if err := checkTTL(i.accessTTL); err != nil {
		fault("AccessTTL: %w", err)
	}
	if err := checkTTL(i.refreshTTL); err != nil {
		fault("RefreshTTL: %w", err)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return i, nil
}

// Access issues an access token for subject. It fails if the strict reader
// would refuse the token or if the token is longer than 8192 bytes.
func (i *Issuer) Access(subject string, o Options) (*Token, error) {
	return i.issue(subject, TypeAccess, &o.Fresh, i.accessTTL, o)
}

// Refresh issues a refresh token for subject. It fails for the same reasons as
// Access.
func (i *Issuer) Refresh(subject string, o Options) (*Token, error) {
	if o.Fresh {
		return nil, errors.New("token: a refresh token cannot be fresh")
	}
	return i.issue(subject, TypeRefresh, nil, i.refreshTTL, o)
}

// Assertion issues a token that tells a third party who subject is. It fails
// for the same reasons as Access. Options.TTL is required and should be short.
func (i *Issuer) Assertion(subject string, o Options) (*Token, error) {
	return i.issue(subject, TypeAssertion, &o.Fresh, 0, o)
}

// A header is the JOSE header of an issued token.
type header struct {
	Alg   Algorithm      `json:"alg"`
	Typ   string         `json:"typ"`
	Kid   string         `json:"kid,omitzero"`
	Extra map[string]any `json:",embed"`
}

// A payload is the payload of an issued token, in this order.
type payload struct {
	Subject    string         `json:"sub"`
	IssuedAt   int64          `json:"iat"`
	NotBefore  int64          `json:"nbf"`
	ID         string         `json:"jti"`
	ExpiresAt  int64          `json:"exp"`
	Type       Type           `json:"type"`
	Fresh      *bool          `json:"fresh,omitzero"`
	CSRF       string         `json:"csrf,omitzero"`
	SessionID  string         `json:"sid,omitzero"`
	Generation uint64         `json:"sid_gen,omitzero"`
	Issuer     string         `json:"iss,omitzero"`
	Audience   any            `json:"aud,omitzero"` // a string or an array of strings
	Extra      map[string]any `json:",embed"`
}

func (i *Issuer) issue(subject string, kind Type, fresh *bool, ttl time.Duration, o Options) (*Token, error) {
	signer := i.key
	if o.Key != nil {
		signer = o.Key
	}
	key, err := signer.SigningKey()
	if err != nil {
		return nil, err
	}
	ttl = orDefault(o.TTL, ttl)
	if err := checkTTL(ttl); err != nil {
		return nil, fmt.Errorf("token: Options.TTL: %w", err)
	}
	if err := checkNames(o.Headers, headerNames); err != nil {
		return nil, fmt.Errorf("token: Options.Headers: %w", err)
	}
	if err := checkNames(o.Claims, claimNames); err != nil {
		return nil, fmt.Errorf("token: Options.Claims: %w", err)
	}
	if strings.HasPrefix(o.ID, unnamedPrefix) {
		return nil, fmt.Errorf("token: Options.ID: begins with %s, which names tokens without an ID", unnamedPrefix)
	}
	now := time.Now().Unix()
	if !o.IssuedAt.IsZero() {
		now = o.IssuedAt.Unix()
	}
	p := payload{
		Subject:    subject,
		IssuedAt:   now,
		NotBefore:  now,
		ID:         cmp.Or(o.ID, newUUID()),
		ExpiresAt:  now + int64(ttl/time.Second),
		Type:       kind,
		Fresh:      fresh,
		SessionID:  o.SessionID,
		Generation: o.Generation,
		Issuer:     i.issuer,
		Audience:   audienceValue(i.audience, o.Audience),
		Extra:      o.Claims,
	}
	if o.CSRF {
		p.CSRF = newUUID()
	}
	return sign(key, header{Alg: key.alg, Typ: "JWT", Kid: key.id, Extra: o.Headers}, p)
}

// sign signs the token, and reads it back as a verifier would.
func sign(key *Key, h header, p payload) (*Token, error) {
	headerJSON, err := json.Marshal(h, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("token: Options.Headers: %w", err)
	}
	payloadJSON, err := json.Marshal(p, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("token: subject or Options.Claims: %w", err)
	}
	signed := encode(headerJSON) + "." + encode(payloadJSON)
	signature, err := key.sign([]byte(signed))
	if err != nil {
		return nil, fmt.Errorf("token: signing with %s: %w", key, err)
	}
	raw := signed + "." + encode(signature)

	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	j, err := s.readJWS(raw, defaultMaxBytes)
	if err != nil {
		return nil, fmt.Errorf("token: not issued: %w", err)
	}
	claims, err := s.readClaims(j.payload, reading{})
	if err != nil {
		return nil, fmt.Errorf("token: not issued: %w", err)
	}
	return &Token{Raw: raw, Claims: claims}, nil
}

// headerNames are reserved: they are written by us, refused by every Verifier,
// or hints to keys that other verifiers might follow.
var headerNames = slices.Concat(unusedParameters, readParameters, refusedParameters)

// claimNames lists the claims that readClaims reads.
var claimNames = []string{"sub", "iat", "nbf", "jti", "exp", "type", "fresh", "csrf", "sid", "sid_gen", "iss", "aud"}

func checkNames(extra map[string]any, taken []string) error {
	for name := range extra {
		for _, t := range taken {
			if strings.EqualFold(name, t) {
				return fmt.Errorf("%q is reserved", t)
			}
		}
	}
	return nil
}

// audienceValue returns a single name as a string, because most verifiers
// expect that.
func audienceValue(audience, chosen []string) any {
	if chosen != nil {
		audience = chosen
	}
	switch len(audience) {
	case 0:
		return nil
	case 1:
		return audience[0]
	}
	return audience
}

func checkTTL(ttl time.Duration) error {
	if ttl < time.Second || ttl > DefaultMaxLifetime {
		return fmt.Errorf("%s is not from 1s to %s", ttl, DefaultMaxLifetime)
	}
	return nil
}

func orDefault(d, byDefault time.Duration) time.Duration {
	if d == 0 {
		return byDefault
	}
	return d
}

// newUUID returns a random UUID of version 4 (RFC 9562 section 5.4).
func newUUID() string {
	var u [16]byte
	rand.Read(u[:]) // never fails
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// Token is a signed token. Printing or logging it does not reveal Raw, which
// is a credential.
type Token struct {
	Raw    string  // compact serialization
	Claims *Claims // the claims in Raw
}

// String describes the token without revealing it.
func (t Token) String() string {
	if t.Claims == nil {
		return "token.Token()"
	}
	return "token.Token(" + t.Claims.String() + ")"
}

// GoString returns String, for %#v.
func (t Token) GoString() string { return t.String() }

// LogValue returns String, for slog.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }
