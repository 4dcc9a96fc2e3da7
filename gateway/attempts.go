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
	var g ratelimit.Group
	return &attempts{
		addresses: g.New(20, 3*time.Second, maxBuckets),
		pairs:     g.New(10, 6*time.Second, maxBuckets),
		names:     g.New(100, 2*time.Second, maxBuckets),
	}
}

// begin takes one attempt for a name from all limiters, or from none and says
// how long to wait for one. An unknown name is limited as a known one is. The
// attempt must be spent or given back.
func (a *attempts) begin(remoteAddr, name string, now time.Time) (*ratelimit.Held, time.Duration) {
	network := ratelimit.Network(remoteAddr)
	return ratelimit.Hold(now,
		ratelimit.Claim{Limiter: a.addresses, Key: network},
		ratelimit.Claim{Limiter: a.pairs, Key: network + " " + name},
		ratelimit.Claim{Limiter: a.names, Key: name})
}
