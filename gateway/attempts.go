package gateway

import (
	"time"

	"wsauth/internal/ratelimit"
)

// attempts limits failed logins twice: per address, against one client that tries many names, and per name, against many clients
// that try one. An attempt is taken before the password is looked at, so that parallel ones count too, and given back when the
// login succeeds.
type attempts struct {
	addresses *ratelimit.Limiter
	names     *ratelimit.Limiter
}

// maxBuckets is how many addresses, and as many names, that lately failed to log in are remembered.
const maxBuckets = 50_000

func newAttempts() *attempts {
	return &attempts{
		addresses: ratelimit.New(20, 3*time.Second, maxBuckets),
		names:     ratelimit.New(10, 6*time.Second, maxBuckets),
	}
}

// An attempt is one try to log in.
type attempt struct{ address, name ratelimit.Reservation }

// begin takes one attempt, or says how long to wait for one. An unknown name is limited as a known one is.
func (a *attempts) begin(remoteAddr, name string, now time.Time) (attempt, time.Duration) {
	address, wait := a.addresses.Take(ratelimit.Network(remoteAddr), now)
	if wait > 0 {
		return attempt{}, wait
	}
	byName, wait := a.names.Take(name, now)
	if wait > 0 {
		return attempt{}, wait
	}
	return attempt{address, byName}, 0
}

// succeeded gives the attempt back.
func (a attempt) succeeded() {
	a.address.GiveBack()
	a.name.GiveBack()
}
