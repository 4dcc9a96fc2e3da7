package wsauth

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"wsauth/internal/ratelimit"
)

// Limits bound what clients may take of a server. A client's address is its IP
// address or, of IPv6, its /64; behind a proxy that is the proxy's, so that the
// limits by address are for servers which clients reach directly.
type Limits struct {
	// PerSubject, PerSession and PerAddress are how many sockets may be open at
	// once for one user (sub), one login (sid) and one address. 0: no limit.
	PerSubject int
	PerSession int
	PerAddress int

	// EndOldest lets a new socket over a limit in, and ends the oldest instead,
	// with ConnectionLimit: clients stop then, so that two windows do not push
	// each other out for ever. Without it the new one is refused, with
	// RateLimited; and so it is where its client is not known, or where there
	// are twice as many connections as may be open, those that are just ending
	// included. Where several limits are reached, none is passed: the new
	// socket is refused, and nothing ends, unless all of them can make room.
	EndOldest bool

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
	// closed gives it back when its client hangs up, or after 5 s. Connections
	// that are still closing are bounded as well: there are at most twice as
	// many as there are places. Defaults: 1000 and 100.
	Unauthenticated           int
	UnauthenticatedPerAddress int
}

// maxAddresses is how many addresses are counted one by one in a minute.
const maxAddresses = 50_000

func (l Limits) withDefaults() (Limits, error) {
	if l.Unauthenticated == 0 {
		l.Unauthenticated = 1000
	}
	if l.UnauthenticatedPerAddress == 0 {
		l.UnauthenticatedPerAddress = 100
	}
	var faults []error
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
	if wait := g.handshakes.Take(ratelimit.Network(r.RemoteAddr), time.Now()); wait > 0 {
		return refuseWith(RateLimited, "Too many handshakes")
	}
	return nil
}

// A place is a name that a socket is to be counted under, and how many sockets
// of that name may be open; 0 is no limit.
type place struct {
	grain grain
	name  string
	most  int
}

// makeRoom looks for room for one more socket in each place, or refuses it. It
// returns the sockets that have to go, at most one for each place, and changes
// nothing: a socket that one limit would push out stays where another limit
// refuses the newcomer. Only a client that has authenticated may push others
// out. r.mu must be held.
func (r *registry) makeRoom(places []place, authenticated bool) (evicted []*Session, err error) {
	for _, p := range places {
		if p.most == 0 {
			continue
		}
		of := r.rings[p.grain][p.name]
		// Sockets that were told to go take their time, and are connections too.
		if of.all >= 2*p.most {
			return nil, refuseWith(RateLimited, "Too many open connections")
		}
		staying := of.staying()
		for _, s := range evicted {
			if l := s.links[p.grain]; l.next != nil && l.name == p.name {
				staying--
			}
		}
		if staying < p.most {
			continue
		}
		if !r.limits.EndOldest || !authenticated {
			return nil, refuseWith(RateLimited, "Too many open connections")
		}
		evicted = append(evicted, r.oldest(p.grain, p.name))
	}
	return evicted, nil
}

// oldest returns the oldest socket of a name that is not leaving; there must
// be one. The ring begins with it from now on, so that those which are leaving
// are not passed over again and again. r.mu must be held.
func (r *registry) oldest(g grain, name string) *Session {
	of := r.rings[g][name]
	for of.oldest.leaving {
		of.oldest = of.oldest.links[g].next
	}
	r.rings[g][name] = of
	return of.oldest
}
