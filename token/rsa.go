package token

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
)

// The size of an RSA modulus in bits. RFC 7518 §3.3 requires the minimum; the
// maximum bounds the cost of a verification.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

var pssOptions = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash} // RFC 7518 §3.5

// rsaPublic verifies RS256 to PS512 (RFC 7518 §3.3, §3.5).
type rsaPublic struct {
	suite suite
	key   *rsa.PublicKey
}

// rsaPrivate signs with them, too.
type rsaPrivate struct {
	rsaPublic
	private *rsa.PrivateKey
}

func newRSAPublic(s suite, key *rsa.PublicKey) (material, error) {
	if s.family != familyRSA {
		return nil, errors.New("the material is an RSA key")
	}
	if key == nil || key.N == nil {
		return nil, errors.New("the key is nil")
	}
	if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return nil, fmt.Errorf("the modulus has %d bits, not %d to %d", bits, minRSABits, maxRSABits)
	}
	if key.N.Bit(0) == 0 {
		return nil, errors.New("the modulus is even")
	}
	if key.E < 3 || key.E%2 == 0 || key.E > 1<<31-1 {
		return nil, errors.New("the public exponent is not an odd number from 3 to 2³¹−1")
	}
	if rocaWeak(key.N) {
		return nil, errors.New("the modulus can be factored (ROCA, CVE-2017-15361)")
	}
	return &rsaPublic{s, &rsa.PublicKey{N: new(big.Int).Set(key.N), E: key.E}}, nil
}

func newRSAPrivate(s suite, key *rsa.PrivateKey) (material, error) {
	if key == nil {
		return nil, errors.New("the key is nil")
	}
	public, err := newRSAPublic(s, &key.PublicKey)
	if err != nil {
		return nil, err
	}
	if len(key.Primes) != 2 || key.D == nil || key.Primes[0] == nil || key.Primes[1] == nil {
		return nil, errors.New("the private key needs its exponent and two primes")
	}
	p := public.(*rsaPublic)
	private := &rsa.PrivateKey{
		PublicKey: *p.key,
		D:         new(big.Int).Set(key.D),
		Primes:    []*big.Int{new(big.Int).Set(key.Primes[0]), new(big.Int).Set(key.Primes[1])},
	}
	private.Precompute()
	if err := private.Validate(); err != nil {
		return nil, errors.New("the private key contradicts itself")
	}
	return &rsaPrivate{*p, private}, nil
}

func (m *rsaPublic) verify(input, signature []byte) bool {
	if m.suite.pss {
		return rsa.VerifyPSS(m.key, m.suite.hash, m.suite.digest(input), signature, pssOptions) == nil
	}
	return rsa.VerifyPKCS1v15(m.key, m.suite.hash, m.suite.digest(input), signature) == nil
}

func (m *rsaPublic) sign([]byte) ([]byte, error) { return nil, errPublicKey }

func (m *rsaPrivate) sign(input []byte) ([]byte, error) {
	if m.suite.pss {
		return rsa.SignPSS(rand.Reader, m.private, m.suite.hash, m.suite.digest(input), pssOptions)
	}
	return rsa.SignPKCS1v15(nil, m.private, m.suite.hash, m.suite.digest(input))
}

func (m *rsaPublic) canSign() bool  { return false }
func (m *rsaPrivate) canSign() bool { return true }

func (m *rsaPublic) public() material { return m }

// public returns a new value. The embedded one would keep the private key
// reachable while the public half is in use.
func (m *rsaPrivate) public() material { return &rsaPublic{m.suite, m.key} }

func (m *rsaPublic) members() jwk {
	return jwk{N: encodeInt(m.key.N), E: encodeInt(big.NewInt(int64(m.key.E)))}
}

func (m *rsaPrivate) members() jwk {
	j := m.rsaPublic.members()
	j.D = encodeInt(m.private.D)
	j.P, j.Q = encodeInt(m.private.Primes[0]), encodeInt(m.private.Primes[1])
	j.DP, j.DQ = encodeInt(m.private.Precomputed.Dp), encodeInt(m.private.Precomputed.Dq)
	j.QI = encodeInt(m.private.Precomputed.Qinv)
	return j
}
