package token

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	defaultAccessTTL  = 15 * time.Minute
	defaultRefreshTTL = 30 * 24 * time.Hour
)

// IssuerConfig says how tokens are made.
type IssuerConfig struct {
	// Key signs, or chooses the key that does. Required, and it must be
	// able to.
	Key Signer

	// Issuer is the iss of every token. Empty: none.
	Issuer string

	// Audience is the aud of every token that does not choose another.
	// Empty: none.
	Audience []string

	// AccessTTL and RefreshTTL are how long tokens live: 1 s to 366 days; a
	// fraction of a second is dropped. Defaults: 15 minutes and 30 days.
	AccessTTL  time.Duration
	RefreshTTL time.Duration
}

// Options vary one token.
type Options struct {
	Fresh     bool          // access tokens only: the user has just logged in
	TTL       time.Duration // how long it lives; 0: the issuer's default
	Audience  []string      // aud; nil: the issuer's; empty: none
	ID        string        // jti; empty: a random one
	SessionID string        // sid, the login that the token belongs to
	CSRF      bool          // add a csrf claim, for a token that travels in a cookie
	Key       *Key          // sign with this key instead of the issuer's

	// Headers are added to the header of the token. They may not name a
	// parameter that this package writes or refuses, whatever its case.
	Headers map[string]any

	// Claims are added to the payload, sorted by name. They may not name a
	// claim of [Claims], whatever its case.
	Claims map[string]any
}

// Issuer makes tokens. It is immutable, but for what its Signer chooses, and safe for concurrent use.
type Issuer struct {
	key        Signer
	issuer     string
	audience   []string
	accessTTL  time.Duration
	refreshTTL time.Duration
}

// NewIssuer reports every fault of the configuration at once, joined, each
// beginning with the name of its field.
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
	if f := nameFault(c.Issuer); f != "" {
		fault("Issuer: %s", f)
	}
	for _, a := range c.Audience {
		if f := nameFault(a); f != "" || a == "" {
			fault("Audience: %q is empty or %s", a, f)
		}
	}
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

// Access makes an access token for subject. A token that the strict reader
// would refuse, or longer than 8192 bytes, is not made.
func (i *Issuer) Access(subject string, o Options) (*Token, error) {
	return i.issue(subject, TypeAccess, &o.Fresh, i.accessTTL, o)
}

// Refresh makes a refresh token for subject, under the same rules as Access.
func (i *Issuer) Refresh(subject string, o Options) (*Token, error) {
	if o.Fresh {
		return nil, errors.New("token: a refresh token cannot be fresh")
	}
	return i.issue(subject, TypeRefresh, nil, i.refreshTTL, o)
}

// Assertion makes a token that tells somebody else who subject is, under the
// same rules as Access. Options.TTL is required, and should be short.
func (i *Issuer) Assertion(subject string, o Options) (*Token, error) {
	return i.issue(subject, TypeAssertion, &o.Fresh, 0, o)
}

// A header is the JOSE header of the tokens that we make.
type header struct {
	Alg   Algorithm      `json:"alg"`
	Typ   string         `json:"typ"`
	Kid   string         `json:"kid,omitzero"`
	Extra map[string]any `json:",embed"`
}

// A payload is what the tokens that we make say, in this order.
type payload struct {
	Subject   string         `json:"sub"`
	IssuedAt  int64          `json:"iat"`
	NotBefore int64          `json:"nbf"`
	ID        string         `json:"jti"`
	ExpiresAt int64          `json:"exp"`
	Type      Type           `json:"type"`
	Fresh     *bool          `json:"fresh,omitzero"`
	CSRF      string         `json:"csrf,omitzero"`
	SessionID string         `json:"sid,omitzero"`
	Issuer    string         `json:"iss,omitzero"`
	Audience  any            `json:"aud,omitzero"` // a string, or several
	Extra     map[string]any `json:",embed"`
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
	p := payload{
		Subject:   subject,
		IssuedAt:  now,
		NotBefore: now,
		ID:        cmp.Or(o.ID, newUUID()),
		ExpiresAt: now + int64(ttl/time.Second),
		Type:      kind,
		Fresh:     fresh,
		SessionID: o.SessionID,
		Issuer:    i.issuer,
		Audience:  audienceValue(i.audience, o.Audience),
		Extra:     o.Claims,
	}
	if o.CSRF {
		p.CSRF = newUUID()
	}
	return sign(key, header{Alg: key.alg, Typ: "JWT", Kid: key.id, Extra: o.Headers}, p)
}

// sign makes the token, and reads it back as a verifier would.
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

// headerNames are taken: written by us, refused by every verifier of ours, or
// hints to keys that other verifiers might follow.
var headerNames = slices.Concat(unusedParameters, readParameters, refusedParameters)

// claimNames are the claims that readClaims reads.
var claimNames = []string{"sub", "iat", "nbf", "jti", "exp", "type", "fresh", "csrf", "sid", "iss", "aud"}

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

// audienceValue is a single name as a string, as most verifiers expect it.
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
	if ttl < time.Second || ttl > defaultMaxLifetime {
		return fmt.Errorf("%s is not from 1s to %s", ttl, defaultMaxLifetime)
	}
	return nil
}

func orDefault(d, byDefault time.Duration) time.Duration {
	if d == 0 {
		return byDefault
	}
	return d
}

// newUUID is a random UUID of version 4 (RFC 9562 §5.4).
func newUUID() string {
	var u [16]byte
	rand.Read(u[:]) // never fails
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
