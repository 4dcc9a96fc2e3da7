package token

import (
	"bytes"
	"crypto/ed25519"
	"math/big"
	"slices"
	"testing"
)

func ed25519PublicKey(b []byte) ed25519.PublicKey { return ed25519.PublicKey(b) }

// smallOrderEncodings computes what ed25519.go has typed in: every encoding,
// canonical or not, of a point whose order divides 8.
func smallOrderEncodings(t *testing.T) [][]byte {
	t.Helper()
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	mod := func(x *big.Int) *big.Int { return x.Mod(x, p) }
	inverse := func(x *big.Int) *big.Int { return new(big.Int).ModInverse(x, p) }
	d := mod(new(big.Int).Mul(big.NewInt(-121665), inverse(big.NewInt(121666))))

	// A point doubles to y = 0 when x² = −y² (the sum's y² + x² is its
	// numerator): with the curve's −x² + y² = 1 + dx²y², d·y⁴ + 2y² − 1 = 0.
	root := new(big.Int).ModSqrt(mod(new(big.Int).Add(big.NewInt(1), d)), p)
	if root == nil {
		t.Fatal("1 + d has no root")
	}
	ys := []*big.Int{new(big.Int), big.NewInt(1), new(big.Int).Sub(p, big.NewInt(1))}
	for _, sign := range []int64{1, -1} {
		square := mod(new(big.Int).Mul(new(big.Int).Add(big.NewInt(-1), new(big.Int).Mul(big.NewInt(sign), root)), inverse(d)))
		if y := new(big.Int).ModSqrt(square, p); y != nil {
			ys = append(ys, y, new(big.Int).Sub(p, y))
		}
	}
	if len(ys) != 5 {
		t.Fatalf("%d y of small order, want 5", len(ys))
	}
	var encodings [][]byte
	for _, y := range ys {
		for _, v := range []*big.Int{y, new(big.Int).Add(y, p)} {
			if v.BitLen() > 255 {
				continue
			}
			encoded := v.FillBytes(make([]byte, 32))
			slices.Reverse(encoded)
			negative := bytes.Clone(encoded)
			negative[31] |= 0x80
			encodings = append(encodings, encoded, negative)
		}
	}
	return encodings
}
