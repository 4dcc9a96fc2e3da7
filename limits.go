package wsauth

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"wsauth/internal/ratelimit"
)

// Limits bound the resources that clients use. The address of a client is its
// IP address, or the /64 network of an IPv6 address. Behind a proxy it is the
// address of the proxy, unless the proxy is one of [Config.TrustedProxies].
type Limits struct {
	// PerSubject, PerSession and PerAddress are the maximum numbers of open
	// sockets of one user (sub), one session (sid) and one address. With
	// Config.Counters, they are the maximum numbers on all nodes together; then
	// sockets of clients that have not authenticated count only on their own
	// node. 0: no limit.
	PerSubject int
	PerSession int
	PerAddress int

	// WhenFull says what happens when one of these limits is reached. Default:
	// RefuseNew.
	WhenFull WhenFull

	// HandshakesPerMinute is the maximum number of WebSocket handshakes that
	// one address may send in a minute, possibly all at once. Further ones are
	// refused with RateLimited before their credential is checked. 0: no limit.
	HandshakesPerMinute int

	// Unauthenticated is the maximum number of open sockets whose clients have
	// not authenticated: sockets that wait for a first message, and sockets
	// that RefuseClose opens only to close them, which may be at most half.
	// UnauthenticatedPerAddress is the maximum of one address. When either is
	// reached, handshakes without a credential are refused with RateLimited,
	// and refusals are sent in HTTP. Each such socket may send 64 KiB.
	//
	// A waiting socket counts until [FirstMessage.Timeout] at most, whatever
	// its client does. A socket opened only to be closed counts until its
	// client disconnects, but not longer than 10 s. The guard holds it open for
	// up to 5 s, because clients reconnect sooner after a socket that was open.
	// Then the client has 5 s to disconnect. Connections that are closing are
	// limited, too: including them, at most twice the maximum are open.
	// Defaults: 1000 and 100.
	Unauthenticated           int
	UnauthenticatedPerAddress int
}

// WhenFull says what happens when a new socket would exceed a limit.
type WhenFull int

const (
	// RefuseNew refuses the new socket with RateLimited.
	RefuseNew WhenFull = iota + 1

	// EndOldest admits the new socket and ends the oldest one with
	// ConnectionLimit. Clients should not reconnect after that, so that two
	// windows do not evict each other forever. Clients that do are slowed down:
	// the number of sockets of one user, session or address that are evicted
	// within a minute is at most its limit, or five if the limit is lower.
	// After that the new socket is refused with RateLimited. It is also refused
	// if its client has not authenticated, or if twice as many connections as
	// allowed are open, including closing ones. If several limits are reached,
	// no socket ends unless all limits can make room.
	//
	// With Config.Counters, the oldest socket may be on another node. That node
	// ends it soon after the new one is admitted, and each node slows clients
	// down by itself.
	EndOldest
)

// Within evictionPeriod, the number of evicted sockets of one name is at most
// its limit, or minEvictions if the limit is lower.
const (
	evictionPeriod = time.Minute
	minEvictions   = 5
)

// maxAddresses is how many addresses a rate limiter counts individually.
const maxAddresses = 50_000

func (l Limits) withDefaults() (Limits, error) {
	if l.Unauthenticated == 0 {
		l.Unauthenticated = 1000
	}
	if l.UnauthenticatedPerAddress == 0 {
		l.UnauthenticatedPerAddress = 100
	}
	if l.WhenFull == 0 {
		l.WhenFull = RefuseNew
	}
	var faults []error
	if l.WhenFull != RefuseNew && l.WhenFull != EndOldest {
		faults = append(faults, fmt.Errorf("wsauth: Config.Limits.WhenFull: %d is neither RefuseNew nor EndOldest", l.WhenFull))
	}
	for _, f := range []struct {
		name  string
		value int
	}{
		{"PerSubject", l.PerSubject},
		{"PerSession", l.PerSession},
		{"PerAddress", l.PerAddress},
		{"HandshakesPerMinute", l.HandshakesPerMinute},
		{"Unauthenticated", l.Unauthenticated},
		{"UnauthenticatedPerAddress", l.UnauthenticatedPerAddress},
	} {
		if f.value < 0 {
			faults = append(faults, fmt.Errorf("wsauth: Config.Limits.%s: %d is less than 0", f.name, f.value))
		}
	}
	return l, errors.Join(faults...)
}

// newHandshakes returns the rate limiter for handshakes, or nil if there is no
// limit.
func (l Limits) newHandshakes() *ratelimit.Limiter {
	if l.HandshakesPerMinute == 0 {
		return nil
	}
	return ratelimit.New(l.HandshakesPerMinute, time.Minute/time.Duration(l.HandshakesPerMinute), maxAddresses)
}

// checkRate refuses a handshake if its address has sent too many.
func (g *Guard) checkRate(r *http.Request) error {
	if g.handshakes == nil {
		return nil
	}
	if wait := g.handshakes.Take(ratelimit.Network(g.proxies.Of(r).Addr), time.Now()); wait > 0 {
		return refuseWith(RateLimited, "Too many handshakes")
	}
	return nil
}
