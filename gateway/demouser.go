package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
)

// DemoUser is the [login.AuthenticatorFunc] of a demonstration. It knows one
// user, whose name and password are both "test". These are public, so use it
// on loopback addresses only.
func DemoUser(_ context.Context, name, password string) (bool, error) {
	return equal(name, "test")&equal(password, "test") == 1, nil
}

// equal returns 1 if a and b are equal, and 0 otherwise. It takes constant
// time, whatever their contents and lengths.
func equal(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}
