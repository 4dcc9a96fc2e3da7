package gateway

import (
	"time"

	"wsauth/internal/ratelimit"
)

// attempts limits failed logins three times: per address, against one client that tries many names; per name and address, against
// one client that tries one name; and per name, against many clients that try one. The last is far higher, so that a stranger does
// not lock out the user of the name, who comes from elsewhere. An attempt is taken before the password is looked at, so that
// parallel ones count too, and given back when the login succeeds.
type attempts struct {
	addresses *ratelimit.Limiter
	pairs     *ratelimit.Limiter
	names     *ratelimit.Limiter
}

// maxBuckets is how many of each kind are remembered: addresses, names and pairs of them that lately failed to log in, and sessions
// that lately asked for tickets.
const maxBuckets = 50_000

func newAttempts() *attempts {
	return &attempts{
		addresses: ratelimit.New(20, 3*time.Second, maxBuckets),
		pairs:     ratelimit.New(10, 6*time.Second, maxBuckets),
		names:     ratelimit.New(100, 2*time.Second, maxBuckets),
	}
}

// An attempt is one try to log in, as each of the limiters has taken it.
type attempt []ratelimit.Reservation

// begin takes one attempt for a name, or says how long to wait for one. An unknown name is limited as a known one is.
func (a *attempts) begin(remoteAddr, name string, now time.Time) (attempt, time.Duration) {
	network := ratelimit.Network(remoteAddr)
	var taken attempt
	for _, l := range []struct {
		limiter *ratelimit.Limiter
		key     string
	}{{a.addresses, network}, {a.pairs, network + " " + name}, {a.names, name}} {
		reservation, wait := l.limiter.Take(l.key, now)
		if wait > 0 {
			return nil, wait
		}
		taken = append(taken, reservation)
	}
	return taken, 0
}

// succeeded gives the attempt back.
func (a attempt) succeeded() {
	for _, reservation := range a {
		reservation.GiveBack()
	}
}
