package token

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"
)

// ed25519Public is a public key for EdDSA (RFC 8037 section 3.1).
type ed25519Public struct {
	key ed25519.PublicKey
}

// ed25519Private is a private key for EdDSA.
type ed25519Private struct {
	ed25519Public
	private ed25519.PrivateKey
}

func newEd25519Public(s suite, key ed25519.PublicKey) (material, error) {
	if s.family != familyEd25519 {
		return nil, errors.New("the material is an Ed25519 key")
	}
	if len(key) != ed25519.PublicKeySize {
		return nil, errors.New("the public key does not have 32 bytes")
	}
	if !canonicalPoint(key) || smallOrder(key) {
		return nil, errors.New("the public key is a point of small order, or not encoded canonically")
	}
	return &ed25519Public{bytes.Clone(key)}, nil
}

func newEd25519Private(s suite, key ed25519.PrivateKey) (material, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("the private key does not have 64 bytes")
	}
	public, err := newEd25519Public(s, ed25519.PublicKey(key[ed25519.SeedSize:]))
	if err != nil {
		return nil, err
	}
	private := ed25519.NewKeyFromSeed(key.Seed())
	if !private.Equal(key) {
		return nil, errors.New("the private key does not belong to the public one")
	}
	return &ed25519Private{*public.(*ed25519Public), private}, nil
}

// smallOrderY lists the y coordinates of the points whose order divides 8,
// little-endian: 0, 1, the two of order 8, and −1. With such a key, some
// signatures are valid for every message.
var smallOrderY = [][32]byte{
	{},
	{0: 1},
	{
		0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
	},
	{
		0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
	},
	{
		0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
	},
}

func smallOrder(key ed25519.PublicKey) bool {
	return slices.Contains(smallOrderY, yOf(key))
}

// canonicalPoint reports whether y is less than p = 2^255 − 19 (RFC 8032
// section 5.1.3).
func canonicalPoint(key ed25519.PublicKey) bool {
	y := yOf(key)
	if y[31] != 0x7f || y[0] < 0xed {
		return true
	}
	for _, b := range y[1:31] {
		if b != 0xff {
			return true
		}
	}
	return false
}

// yOf returns the encoding without the sign of x, its highest bit.
func yOf(key ed25519.PublicKey) (y [32]byte) {
	copy(y[:], key)
	y[31] &= 0x7f
	return y
}

func (m *ed25519Public) verify(input, signature []byte) bool {
	return ed25519.Verify(m.key, input, signature)
}

func (m *ed25519Public) sign([]byte) ([]byte, error) { return nil, errPublicKey }

func (m *ed25519Private) sign(input []byte) ([]byte, error) {
	return ed25519.Sign(m.private, input), nil
}

func (m *ed25519Public) canSign() bool  { return false }
func (m *ed25519Private) canSign() bool { return true }

func (m *ed25519Public) public() material  { return m }
func (m *ed25519Private) public() material { return &ed25519Public{m.key} }

func (m *ed25519Public) members() jwk { return jwk{Curve: "Ed25519", X: encode(m.key)} }

func (m *ed25519Private) members() jwk {
	j := m.ed25519Public.members()
	j.D = encode(m.private.Seed())
	return j
}
