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
// for concurrent use. Its material is never shown by fmt, by a log or in JSON;
// only [Key.JWK] returns it.
type Key struct {
	id  string
	alg Algorithm
	material
}

// A material is the cryptographic part of a key: an HMAC secret, or a public
// or private key.
type material interface {
	// sign returns an error unless canSign.
	sign(input []byte) ([]byte, error)
	verify(input, signature []byte) bool
	canSign() bool

	// public returns the public half, or nil if there is none.
	public() material

	// members returns the parameters of the material in a JWK.
	members() jwk
}

var errPublicKey = errors.New("a public key cannot sign")

// KeyOptions holds the settings that cannot be derived from the material of a
// key.
type KeyOptions struct {
	// ID is the key's name, the "kid" of the tokens that it signs: at most 256
	// bytes without control characters. Empty: none or, for ParseJWK, the kid
	// of the JWK.
	ID string

	// Algorithm is used only by ParseJWK, for a JWK that has no "alg". If both
	// are missing, an EC key uses the algorithm of its curve, an Ed25519 key
	// EdDSA, an RSA key RS256; an HMAC secret is refused. A JWK with a
	// different "alg" is refused.
	Algorithm Algorithm

	// InsecureWeakSecret accepts an HMAC secret that can be guessed: shorter
	// than the hash (RFC 7518 section 3.2), with fewer than 8 different bytes, or
	// known from tutorials. For examples and tests only. An empty secret, or
	// one that is an encoded key, is still refused.
	InsecureWeakSecret bool
}

// NewKey returns a key for alg with a copy of material. The material is a
// []byte for HMAC, otherwise *rsa.PrivateKey, *rsa.PublicKey,
// *ecdsa.PrivateKey, *ecdsa.PublicKey, ed25519.PrivateKey or
// ed25519.PublicKey.
//
// NewKey fails if the material does not fit alg or is weak: an RSA modulus of
// fewer than 2048 bits, an Ed25519 point of small order, or an HMAC secret
// that can be guessed. It also fails if the secret is an encoded key: PEM,
// SSH, a JWK, a JWK Set, or a public key or certificate in DER or base64.
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

// GenerateKey generates a new private key or secret for alg. RSA keys have
// 3072 bits; HMAC secrets are as long as the hash. The ID of an asymmetric key
// is its JWK thumbprint (RFC 7638); that of an HMAC secret is random.
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

// Algorithm returns the algorithm that the key is bound to.
func (k Key) Algorithm() Algorithm { return k.alg }

// CanSign reports whether the key holds a private key or an HMAC secret.
func (k Key) CanSign() bool { return k.material != nil && k.canSign() }

// Public returns the public half of the key, with the same ID. It fails for an
// HMAC key, which has none.
func (k *Key) Public() (*Key, error) {
	public := k.public()
	if public == nil {
		return nil, fmt.Errorf("token: an %s key has no public half", k.alg)
	}
	return &Key{id: k.id, alg: k.alg, material: public}, nil
}

// String describes the key without its material.
func (k Key) String() string {
	half := "public"
	if k.CanSign() {
		half = "private"
	}
	return fmt.Sprintf("token.Key(%s %s %q)", half, k.alg, k.id)
}

// GoString returns String, for %#v.
func (k Key) GoString() string { return k.String() }

// LogValue returns String, for slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }
