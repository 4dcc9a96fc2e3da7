package token

import (
	"errors"
	"log/slog"
)

// Key signs or verifies with exactly one [Algorithm]. It is immutable and safe
// for concurrent use. It never shows its material: not in fmt's verbs, not in
// a log, not in JSON; only [Key.JWK] gives it out.
type Key struct {
	id  string
	alg Algorithm
}

// KeyOptions says what the material of a key does not say by itself.
type KeyOptions struct {
	// ID is the key's name, the "kid" of the tokens that it signs.
	// Empty: none, or for ParseJWK the kid of the JWK.
	ID string

	// Algorithm is for ParseJWK alone: the algorithm of a JWK that has no
	// "alg". Without either, an EC key takes the algorithm of its curve, an
	// Ed25519 key EdDSA, an RSA key RS256; an HMAC secret is refused. A JWK
	// whose "alg" is another one is refused.
	Algorithm Algorithm

	// InsecureWeakSecret accepts an HMAC secret that can be guessed: one
	// shorter than the hash (RFC 7518 §3.2), one with fewer than 8 different
	// bytes, or one that stands in tutorials. For examples and tests only.
	InsecureWeakSecret bool
}

var errTODO = errors.New("token: not implemented yet")

// NewKey binds material to alg. The material is a []byte for HMAC, otherwise
// *rsa.PrivateKey, *rsa.PublicKey, *ecdsa.PrivateKey, *ecdsa.PublicKey,
// ed25519.PrivateKey or ed25519.PublicKey. It is refused when it does not fit
// alg or is weak: an RSA modulus under 2048 bits, an Ed25519 point of small
// order, a guessable HMAC secret. A secret is copied.
func NewKey(alg Algorithm, material any, opts KeyOptions) (*Key, error) { return nil, errTODO }

// GenerateKey makes a new private key, or secret, for alg, with an ID: the
// JWK thumbprint (RFC 7638) of an asymmetric key, a random one for HMAC.
func GenerateKey(alg Algorithm) (*Key, error) { return nil, errTODO }

// ID returns the kid, or "" for a key without one.
func (k Key) ID() string { return k.id }

// Algorithm returns the only algorithm that the key is used with.
func (k Key) Algorithm() Algorithm { return k.alg }

// CanSign reports whether the key holds a private key or an HMAC secret.
func (k Key) CanSign() bool { return false }

// Public returns the half of the key that may be published, with the same ID.
// An HMAC key has none: that is an error.
func (k *Key) Public() (*Key, error) { return nil, errTODO }

// String names the key without its material.
func (k Key) String() string { return "" }

// GoString is String, for %#v.
func (k Key) GoString() string { return k.String() }

// LogValue is String, for slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }
