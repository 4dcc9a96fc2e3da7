package token

import (
	"crypto/sha256"
	"strings"
)

// unnamedPrefix begins the ID of a token without a jti. A jti must not begin
// with it, so no token can take the ID of another.
const unnamedPrefix = "unnamed-sha256:"

// identify sets the ID of a token without a jti to a hash of its signing input
// (RFC 7515 §5.1). The hash does not include the signature, because that can
// be changed: if (r, s) is a valid ECDSA signature, so is (r, n−s).
//
//go:noinline
func (c *Claims) identify(signed []byte) error {
	switch {
	case c.ID == "":
		sum := sha256.Sum256(signed)
		c.ID = unnamedPrefix + encode(sum[:])
	case strings.HasPrefix(c.ID, unnamedPrefix):
		return refuse(ErrClaims, "jti begins with "+unnamedPrefix+", which names tokens without one")
	}
	return nil
}
