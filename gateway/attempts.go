package gateway

import (
	"net/netip"
	"time"
)

// attempts limits failed logins twice: per address, against one client that tries many names, and per name, against many clients
// that try one. An attempt is taken before the password is looked at, so that parallel ones count too, and given back when the
// login succeeds.
type attempts struct {
	addresses *limiter
	names     *limiter
}

func newAttempts(most int) *attempts {
	return &attempts{
		addresses: newLimiter(20, 3*time.Second, most),
		names:     newLimiter(10, 6*time.Second, most),
	}
}

// An attempt is one try to log in.
type attempt struct{ address, name reservation }

// begin takes one attempt, or says how long to wait for one. An unknown name is limited as a known one is.
func (a *attempts) begin(remoteAddr, name string, now time.Time) (attempt, time.Duration) {
	address, wait := a.addresses.take(network(remoteAddr), now)
	if wait > 0 {
		return attempt{}, wait
	}
	byName, wait := a.names.take(name, now)
	if wait > 0 {
		return attempt{}, wait
	}
	return attempt{address, byName}, 0
}

// succeeded gives the attempt back.
func (a attempt) succeeded() {
	a.address.giveBack()
	a.name.giveBack()
}

// network is what one client can hold of the address space: an IPv4 address, or a /64 of IPv6.
func network(remoteAddr string) string {
	addrPort, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return "" // not TCP: all such clients share one bucket
	}
	addr := addrPort.Addr().Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return ""
	}
	return prefix.String()
}
