package wsauth

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"wsauth/internal/ratelimit"
)

// Limits bound what clients may take of a server. A client's address is its IP
// address or, of IPv6, its /64; behind a proxy that is the proxy's, unless it
// is one of [Config.TrustedProxies].
type Limits struct {
	// PerSubject, PerSession and PerAddress are how many sockets may be open at
	// once for one user (sub), one login (sid) and one address. 0: no limit.
	PerSubject int
	PerSession int
	PerAddress int

	// WhenFull says what happens to a socket over one of these limits. Default:
	// RefuseNew.
	WhenFull WhenFull

	// HandshakesPerMinute is how many WebSocket handshakes one address may
	// begin in a minute, and at once; more are refused with RateLimited before
	// their credential is looked at. 0: no limit.
	HandshakesPerMinute int

	// Unauthenticated is how many sockets may be open at once whose client has
	// not authenticated: those that wait for a first message, and those opened
	// by RefuseClose just to be closed, which get at most half of the places.
	// UnauthenticatedPerAddress is how many of one address. Beyond them, a
	// handshake without a credential is refused with RateLimited, and refusals
	// are in HTTP. Each such socket may send 64 KiB.
	//
	// A socket that waits gives its place back when [FirstMessage.Timeout] is
	// over at the latest, however its client behaves. One that is opened to be
	// closed gives it back when its client hangs up, or after 10 s: it is held
	// open for up to 5 s, since clients come again sooner after a socket that
	// was open, and its client has 5 s to hang up. Connections that are still
	// closing are bounded as well: there are at most twice as
	// many as there are places. Defaults: 1000 and 100.
	Unauthenticated           int
	UnauthenticatedPerAddress int
}

// WhenFull says what happens when one socket more than a limit allows is to be
// opened.
type WhenFull int

const (
	// RefuseNew refuses the new socket with RateLimited.
	RefuseNew WhenFull = iota + 1

	// EndOldest lets the new socket in and ends the oldest with ConnectionLimit,
	// upon which a client should stop: two windows do not push each other out
	// for ever. Clients that come again all the same are slowed down: the
	// sockets of one name change hands at most as often in a minute as there
	// are places, or five times if that is more; then the new socket is refused
	// with RateLimited. So it is where its client has not authenticated, and
	// where there are twice as many connections as may be open, those that are
	// just ending included. Where several limits are reached, none is passed:
	// nothing ends unless all of them can make room.
	EndOldest
)

// The sockets of one name may be pushed out as often in evictionPeriod as
// there are places, but minEvictions times at least.
const (
	evictionPeriod = time.Minute
	minEvictions   = 5
)

// maxAddresses is how many addresses are counted one by one in a minute.
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

// newHandshakes counts the handshakes of addresses; nil where there is no
// limit.
func (l Limits) newHandshakes() *ratelimit.Limiter {
	if l.HandshakesPerMinute == 0 {
		return nil
	}
	return ratelimit.New(l.HandshakesPerMinute, time.Minute/time.Duration(l.HandshakesPerMinute), maxAddresses)
}

// checkRate refuses a handshake of an address that has begun too many.
func (g *Guard) checkRate(r *http.Request) error {
	if g.handshakes == nil {
		return nil
	}
	if wait := g.handshakes.Take(ratelimit.Network(g.client(r).Addr), time.Now()); wait > 0 {
		return refuseWith(RateLimited, "Too many handshakes")
	}
	return nil
}

// anonymous counts the sockets whose clients have not authenticated, in all or
// of one network.
type anonymous struct {
	waiting int // for a first message
	refused int // opened by RefuseClose only to be closed
	leaving int // waited, and were ended: their connections are closing
}

// full reports whether there is no place for one more socket. A socket that
// was ended takes no place, but its connection is still open until the client
// hangs up: all of them together are at most twice as many as the places.
func (a anonymous) full(most int) bool {
	return a.waiting+a.refused >= most || a.waiting+a.refused+a.leaving-most >= most // 2*most may overflow
}

// fullOfRefused reports whether no socket can be opened only to be refused.
// Such sockets get half of the places, so that a storm of them leaves room for
// sockets that wait for a credential.
func (a anonymous) fullOfRefused(most int) bool {
	return a.full(most) || a.refused >= max(most/2, 1)
}

func (a anonymous) none() bool { return a == anonymous{} }
