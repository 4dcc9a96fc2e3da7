package wsclient

import (
	"math/rand/v2"
	"time"
)

// renewIn is how long to wait before a session is renewed whose access token has some time left, and lives for a known time: until
// a random moment of 50 to 80 % of what is left, as the browser module does, so that clients which began together do not renew
// together for ever. A try that failed is not repeated at once, and
// no server is asked twice in half a second.
func renewIn(left, life time.Duration) time.Duration {
	return max(time.Duration((0.5+0.3*rand.Float64())*float64(left)), min(5*time.Second, life/10), 500*time.Millisecond) //nolint:gosec // no secret
}

// retryIn is how long to wait before a request is repeated whose answer was
// lost, after so many tries.
func retryIn(tries int) time.Duration {
	return rand.N(250 * time.Millisecond << (tries - 1)) //nolint:gosec // no secret
}
