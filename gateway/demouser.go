package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
)

// DemoUser is the [Authenticator] of a demonstration: it knows one user, whose name and password are both "test". Everybody
// knows them, so it belongs on loopback addresses only.
func DemoUser(_ context.Context, name, password string) (bool, error) {
	return equal(name, "test")&equal(password, "test") == 1, nil
}

// equal compares in a time that tells nothing about where, or in what length, the two differ.
func equal(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}
