package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
)

// Key signs or verifies with exactly one [Algorithm]. It is immutable and safe
// for concurrent use. It never shows its material: not in fmt's verbs, not in
// a log, not in JSON; only [Key.JWK] gives it out.
type Key struct {
	id  string
	alg Algorithm
	material
}

// A material is the cryptography of a key: an HMAC secret, or one half of a
// pair of keys.
type material interface {
	// sign fails unless canSign.
	sign(input []byte) ([]byte, error)
	verify(input, signature []byte) bool
	canSign() bool

	// public is the half that verifies, or nil when there is none.
	public() material

	// members are the parameters of the material in a JWK.
	members() jwk
}

var errPublicKey = errors.New("a public key cannot sign")

// KeyOptions says what the material of a key does not say by itself.
type KeyOptions struct {
	// ID is the key's name, the "kid" of the tokens that it signs: at most
	// 256 bytes without control characters. Empty: none, or for ParseJWK
	// the kid of the JWK.
	ID string

	// Algorithm is for ParseJWK alone: the algorithm of a JWK that has no
	// "alg". Without either, an EC key takes the algorithm of its curve, an
	// Ed25519 key EdDSA, an RSA key RS256; an HMAC secret is refused. A JWK
	// whose "alg" is another one is refused.
	Algorithm Algorithm

	// InsecureWeakSecret accepts an HMAC secret that can be guessed: one
	// shorter than the hash (RFC 7518 §3.2), one with fewer than 8 different
	// bytes, or one that stands in tutorials. For examples and tests only.
	// An empty secret, or one that is an encoded key, is refused even so.
	InsecureWeakSecret bool
}

// NewKey binds material to alg. The material is a []byte for HMAC, otherwise
// *rsa.PrivateKey, *rsa.PublicKey, *ecdsa.PrivateKey, *ecdsa.PublicKey,
// ed25519.PrivateKey or ed25519.PublicKey. It is copied. It is refused when it
// does not fit alg or is weak: an RSA modulus under 2048 bits, an Ed25519 point
// of small order, a guessable HMAC secret, a key in PEM, of SSH, as a JWK, a JWK
// Set, or a public one or a certificate in DER or its base64 as the secret.
func NewKey(alg Algorithm, material any, opts KeyOptions) (*Key, error) {
	s, ok := suites[alg]
	if !ok {
		return nil, fmt.Errorf("token: unknown algorithm %q", alg)
	}
	if fault := nameFault(opts.ID); fault != "" {
		return nil, errors.New("token: key ID " + fault)
	}
	m, err := newMaterial(s, material, opts)
	if err != nil {
		return nil, fmt.Errorf("token: %s key: %w", alg, err)
	}
	return &Key{id: opts.ID, alg: s.name, material: m}, nil
}

func newMaterial(s suite, material any, opts KeyOptions) (material, error) {
	switch m := material.(type) {
	case []byte:
		return newHMAC(s, m, opts.InsecureWeakSecret)
	case *rsa.PublicKey:
		return newRSAPublic(s, m)
	case *rsa.PrivateKey:
		return newRSAPrivate(s, m)
	case *ecdsa.PublicKey:
		return newECDSAPublic(s, m)
	case *ecdsa.PrivateKey:
		return newECDSAPrivate(s, m)
	case ed25519.PublicKey:
		return newEd25519Public(s, m)
	case ed25519.PrivateKey:
		return newEd25519Private(s, m)
	}
	return nil, fmt.Errorf("material of type %T", material)
}

// GenerateKey makes a new private key, or secret, for alg: RSA of 3072 bits, an
// HMAC secret as long as the hash. Its ID is the JWK thumbprint (RFC 7638) of
// an asymmetric key, a random one for HMAC.
func GenerateKey(alg Algorithm) (*Key, error) {
	s, ok := suites[alg]
	if !ok {
		return nil, fmt.Errorf("token: unknown algorithm %q", alg)
	}
	var (
		material any
		err      error
	)
	switch s.family {
	case familyHMAC:
		secret := make([]byte, s.hash.Size())
		rand.Read(secret) // never fails
		return NewKey(alg, secret, KeyOptions{ID: rand.Text()})
	case familyRSA:
		material, err = rsa.GenerateKey(rand.Reader, 3072)
	case familyECDSA:
		material, err = ecdsa.GenerateKey(s.curve, rand.Reader)
	case familyEd25519:
		_, material, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return nil, fmt.Errorf("token: generating a key for %s: %w", alg, err)
	}
	key, err := NewKey(alg, material, KeyOptions{})
	if err != nil {
		return nil, err
	}
	key.id = key.thumbprint()
	return key, nil
}

// ID returns the kid, or "" for a key without one.
func (k Key) ID() string { return k.id }

// Algorithm returns the only algorithm that the key is used with.
func (k Key) Algorithm() Algorithm { return k.alg }

// CanSign reports whether the key holds a private key or an HMAC secret.
func (k Key) CanSign() bool { return k.material != nil && k.canSign() }

// Public returns the half of the key that may be published, with the same ID.
// An HMAC key has none: that is an error.
func (k *Key) Public() (*Key, error) {
	public := k.public()
	if public == nil {
		return nil, fmt.Errorf("token: an %s key has no public half", k.alg)
	}
	return &Key{id: k.id, alg: k.alg, material: public}, nil
}

// String names the key without its material.
func (k Key) String() string {
	half := "public"
	if k.CanSign() {
		half = "private"
	}
	return fmt.Sprintf("token.Key(%s %s %q)", half, k.alg, k.id)
}

// GoString is String, for %#v.
func (k Key) GoString() string { return k.String() }

// LogValue is String, for slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }
