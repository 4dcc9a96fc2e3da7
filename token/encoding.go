package token

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// encodedClaims is the encoding of Claims in a store. It holds all fields and
// not only the payload, because the settings of the verifier decide how fields
// are derived from the payload.
type encodedClaims struct {
	Subject   string    `json:"sub"`
	Issuer    string    `json:"iss,omitzero"`
	ID        string    `json:"jti,omitzero"`
	Audience  []string  `json:"aud,omitzero"`
	ExpiresAt time.Time `json:"exp"`
	NotBefore time.Time `json:"nbf,omitzero"`
	IssuedAt  time.Time `json:"iat,omitzero"`
	Type      Type      `json:"type,omitzero"`
	Fresh     bool      `json:"fresh,omitzero"`
	CSRF      string    `json:"csrf,omitzero"`
	SessionID string    `json:"sid,omitzero"`
	Scopes    []string  `json:"scopes,omitzero"`
	Roles     []string  `json:"roles,omitzero"`
	Leeway    int64     `json:"leeway,omitzero"` // nanoseconds
	Payload   string    `json:"payload_text,omitzero"`

	Generation    uint64 `json:"sid_gen,omitzero"`
	IssuedLeeway  int64  `json:"issued_leeway,omitzero"` // nanoseconds
	IssuerSubject string `json:"issuer_sub,omitzero"`
}

// MarshalBinary encodes c for a store. The encoding has no signature, so it
// cannot be used as a token; but anybody who can write to the store can forge
// claims. MarshalBinary fails only for strings that are not UTF-8, which no
// Verifier accepts.
func (c *Claims) MarshalBinary() ([]byte, error) {
	data, err := json.Marshal(encodedClaims{
		c.Subject, c.Issuer, c.ID, c.Audience, c.ExpiresAt, c.NotBefore, c.IssuedAt,
		c.Type, c.Fresh, c.CSRF, c.SessionID, c.Scopes, c.Roles, int64(c.leeway), c.payload,
		c.Generation, int64(c.issuedLeeway), c.IssuerSubject,
	})
	if err != nil {
		return nil, fmt.Errorf("token: claims: %w", err)
	}
	return data, nil
}

// UnmarshalBinary decodes the output of MarshalBinary. It does not check
// times: the claims may have expired. On error, c is unchanged.
func (c *Claims) UnmarshalBinary(data []byte) error {
	var e encodedClaims
	if err := json.Unmarshal(data, &e, json.RejectUnknownMembers(true)); err != nil {
		return errors.New("token: encoded claims: not as they were written")
	}
	if e.Subject == "" || e.ExpiresAt.IsZero() || !isLeeway(e.Leeway) || !isLeeway(e.IssuedLeeway) || e.Generation > maxInteger {
		return errors.New("token: encoded claims: sub, exp, sid_gen or leeway is not one")
	}
	*c = Claims{
		e.Subject, e.Issuer, e.ID, e.Audience, e.ExpiresAt, e.NotBefore, e.IssuedAt,
		e.Type, e.Fresh, e.CSRF, e.SessionID, e.Generation, e.Scopes, e.Roles, e.IssuerSubject, e.Payload, time.Duration(e.Leeway),
		time.Duration(e.IssuedLeeway), "",
	}
	return nil
}

func isLeeway(nanoseconds int64) bool { return nanoseconds >= 0 && nanoseconds <= int64(MaxLeeway) }
