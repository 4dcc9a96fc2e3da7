package login

import (
	"time"

	"wsauth/internal/ratelimit"
)

// The limits of failed logins: how many are allowed at once, and the interval
// at which one more is allowed.
const (
	networkFailures = 20  // of an IPv4 address or an IPv6 /64
	homeFailures    = 60  // of a /56
	siteFailures    = 120 // of a /48
	pairFailures    = 10  // of one network with one name
	nameFailures    = 100 // of one name, from anywhere
	knownFailures   = 10  // of one known device, or one known network, with one name

	networkEvery = 3 * time.Second
	homeEvery    = time.Second
	siteEvery    = time.Second / 2
	pairEvery    = 6 * time.Second
	nameEvery    = 2 * time.Second
)

// maxBuckets is the maximum number of remembered items of each kind: networks,
// names and pairs of them that recently failed to log in, and sessions that
// recently requested tickets.
const maxBuckets = 50_000

// attempts limits failed logins.
//
// Unknown clients have budgets for each network, for each pair of network and
// name, and for each name. All unknown clients share the budget of a name, so
// they can keep each other from logging in under it. They cannot lock out a
// known client. A device that has logged in under the name before, as its
// cookie proves, has its own budget, which no other client can spend. A network
// from which someone has logged in under the name before also has its own
// budget. Known clients are limited, too: a stolen cookie allows 10 attempts at
// once, at one name.
//
// An attempt is reserved before the password is checked, so that concurrent
// attempts are counted. It is returned when the login succeeds.
type attempts struct {
	networks [3]*ratelimit.Limiter // smallest first
	pairs    *ratelimit.Limiter
	names    *ratelimit.Limiter

	known         *ratelimit.Limiter // a device, or a pair of network and name
	knownNames    *ratelimit.Limiter // all known devices and networks of a name
	knownNetworks *ratelimit.Limiter // all names of a known network

	logins *ratelimit.Limiter // that succeed, by pair; nil without a limit
	seen   *seenNetworks
}

// newAttempts returns the limits. loginsPerHour is the limit of successful
// logins of one user from one network; 0 means no limit.
func newAttempts(loginsPerHour int) *attempts {
	var g ratelimit.Group
	a := &attempts{
		networks: [...]*ratelimit.Limiter{
			g.New(networkFailures, networkEvery, maxBuckets),
			g.New(homeFailures, homeEvery, maxBuckets),
			g.New(siteFailures, siteEvery, maxBuckets),
		},
		pairs:         g.New(pairFailures, pairEvery, maxBuckets),
		names:         g.New(nameFailures, nameEvery, maxBuckets),
		known:         g.New(knownFailures, pairEvery, maxBuckets),
		knownNames:    g.New(nameFailures, nameEvery, maxBuckets),
		knownNetworks: g.New(homeFailures, homeEvery, maxBuckets),
		seen:          newSeenNetworks(),
	}
	if loginsPerHour > 0 {
		a.logins = g.New(loginsPerHour, time.Hour/time.Duration(loginsPerHour), maxBuckets)
	}
	return a
}

// A caller is a client that tries to log in.
type caller struct {
	networks []string // of [ratelimit.Networks]
	name     string   // of the user; unknown names are treated like known ones
	device   string   // that logged in under the name before, or ""
	session  bool     // the device is a session, whose user repeats the password
}

func newCaller(remoteAddr, name, device string) caller {
	networks := ratelimit.Networks(remoteAddr)
	if len(networks) == 0 {
		networks = []string{""} // all clients without a TCP address share a budget
	}
	return caller{networks: networks, name: name, device: device}
}

// pair returns the key of a network and a name. No network has a space.
func (c caller) pair() string { return c.networks[0] + " " + c.name }

// An attempt is one attempt to log in.
type attempt struct {
	failure *ratelimit.Held
	login   *ratelimit.Held // nil if successful logins are not limited
}

// begin reserves an attempt in all budgets that apply to c. If one of them is
// spent, begin reserves nothing and returns how long to wait. The attempt must
// be ended by succeeded, failed or undo.
func (a *attempts) begin(c caller, now time.Time) (*attempt, time.Duration) {
	t := &attempt{}
	var claims []ratelimit.Claim
	claim := func(l *ratelimit.Limiter, key string) { claims = append(claims, ratelimit.Claim{Limiter: l, Key: key}) }
	switch {
	case c.device != "":
		claim(a.known, "device "+c.device+" "+c.name)
		claim(a.knownNames, c.name)
	case a.seen.has(c.pair(), c.name, now):
		claim(a.known, "network "+c.pair())
		claim(a.knownNames, c.name)
		claim(a.knownNetworks, c.networks[0])
	default:
		for i, network := range c.networks {
			claim(a.networks[i], network)
		}
		claim(a.pairs, c.pair())
		claim(a.names, c.name)
	}
	if a.logins != nil && !c.session {
		login, wait := ratelimit.Hold(now, ratelimit.Claim{Limiter: a.logins, Key: c.pair()})
		if wait > 0 {
			return nil, wait
		}
		t.login = login
	}
	failure, wait := ratelimit.Hold(now, claims...)
	if wait > 0 {
		t.login.GiveBack()
		return nil, wait
	}
	t.failure = failure
	return t, 0
}

// login counts a login without a password. If the limit is reached, login
// returns how long to wait.
func (a *attempts) login(c caller, now time.Time) time.Duration {
	if a.logins == nil {
		return 0
	}
	return a.logins.Take(c.pair(), now)
}

// hashClient returns the client of the [hashQueue] for c. A known network is
// treated as unknown there, because other clients may use it.
func (c caller) hashClient() hashClient {
	if c.device != "" {
		return hashClient{key: c.name, device: c.device}
	}
	return hashClient{key: c.networks[0]}
}

// succeeded gives the attempt back to the failure budgets and counts a login.
// It records the network as known.
func (a *attempts) succeeded(t *attempt, c caller, now time.Time) {
	t.failure.GiveBack()
	t.login.Spend(now)
	a.seen.add(c.pair(), c.name, now)
}

// failed counts a failure.
func (t *attempt) failed(now time.Time) {
	t.failure.Spend(now)
	t.login.GiveBack()
}

// undo gives the attempt back, because the password was not checked.
func (t *attempt) undo() {
	t.failure.GiveBack()
	t.login.GiveBack()
}
