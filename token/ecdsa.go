package token

import (
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"math/big"
)

// ecdsaPublic is a public key for ES256, ES384 or ES512 (RFC 7518 section 3.4).
type ecdsaPublic struct {
	suite suite
	key   *ecdsa.PublicKey
}

// ecdsaPrivate is a private key for one of these algorithms.
type ecdsaPrivate struct {
	ecdsaPublic
	private *ecdsa.PrivateKey
}

func newECDSAPublic(s suite, key *ecdsa.PublicKey) (material, error) {
	if s.family != familyECDSA {
		return nil, errors.New("the material is an ECDSA key")
	}
	if key == nil || key.Curve != s.curve {
		return nil, errors.New("the key is not on " + s.curve.Params().Name)
	}
	point, err := key.Bytes()
	if err != nil {
		return nil, errors.New("the public key is not a point of its curve")
	}
	copied, err := ecdsa.ParseUncompressedPublicKey(s.curve, point)
	if err != nil {
		return nil, errors.New("the public key is not a point of its curve")
	}
	return &ecdsaPublic{s, copied}, nil
}

func newECDSAPrivate(s suite, key *ecdsa.PrivateKey) (material, error) {
	if key == nil {
		return nil, errors.New("the key is nil")
	}
	public, err := newECDSAPublic(s, &key.PublicKey)
	if err != nil {
		return nil, err
	}
	scalar, err := key.Bytes()
	if err != nil {
		return nil, errors.New("the private key is not a scalar of its curve")
	}
	private, err := ecdsa.ParseRawPrivateKey(s.curve, scalar)
	if err != nil || !private.PublicKey.Equal(&key.PublicKey) {
		return nil, errors.New("the private key does not belong to the public one")
	}
	return &ecdsaPrivate{*public.(*ecdsaPublic), private}, nil
}

// size returns the length in bytes of a coordinate and of each half of a
// signature: 32, 48 or 66.
func (m *ecdsaPublic) size() int { return (m.suite.curve.Params().BitSize + 7) / 8 }

func (m *ecdsaPublic) verify(input, signature []byte) bool {
	size := m.size()
	if len(signature) != 2*size {
		return false
	}
	r := new(big.Int).SetBytes(signature[:size])
	s := new(big.Int).SetBytes(signature[size:])
	return ecdsa.Verify(m.key, m.suite.digest(input), r, s)
}

func (m *ecdsaPublic) sign([]byte) ([]byte, error) { return nil, errPublicKey }

func (m *ecdsaPrivate) sign(input []byte) ([]byte, error) {
	r, s, err := ecdsa.Sign(rand.Reader, m.private, m.suite.digest(input))
	if err != nil {
		return nil, err
	}
	size := m.size()
	signature := make([]byte, 2*size)
	r.FillBytes(signature[:size])
	s.FillBytes(signature[size:])
	return signature, nil
}

func (m *ecdsaPublic) canSign() bool  { return false }
func (m *ecdsaPrivate) canSign() bool { return true }

func (m *ecdsaPublic) public() material  { return m }
func (m *ecdsaPrivate) public() material { return &ecdsaPublic{m.suite, m.key} }

func (m *ecdsaPublic) members() jwk {
	point, _ := m.key.Bytes() // 4, x, y; the constructor has validated it
	size := m.size()
	return jwk{
		Curve: m.suite.curve.Params().Name,
		X:     encode(point[1 : 1+size]),
		Y:     encode(point[1+size:]),
	}
}

func (m *ecdsaPrivate) members() jwk {
	j := m.ecdsaPublic.members()
	scalar, _ := m.private.Bytes() // the constructor has validated it
	j.D = encode(scalar)
	return j
}
