package wsclient

import (
	"math/rand/v2"
	"time"
)

// renewIn returns how long to wait before renewing a session, given the
// remaining time and the lifetime of the access token. It is a random 50 to 80
// % of the remaining time, as in the browser module, so that clients that
// began together do not keep renewing together. The lower limits space out
// repeated attempts.
func renewIn(left, life time.Duration) time.Duration {
	return max(time.Duration((0.5+0.3*rand.Float64())*float64(left)), min(5*time.Second, life/10), 500*time.Millisecond) //nolint:gosec // no secret
}

// retryIn returns how long to wait before repeating a request whose answer was
// lost, after the given number of attempts.
func retryIn(tries int) time.Duration {
	return rand.N(250 * time.Millisecond << (tries - 1)) //nolint:gosec // no secret
}
