package token

import (
	"crypto/sha256"
	"strings"
)

// unnamedPrefix begins the ID of a token without a jti. No jti may begin with
// it, so that no token has the name of another.
const unnamedPrefix = "unnamed-sha256:"

// identify gives c an ID if its issuer gave it none: the hash of the signing
// input (RFC 7515 §5.1). The signature is left out, because it can be changed:
// of (r, s) and (r, n-s) each is a valid ECDSA signature of the same token.
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
