package remotekeys

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"wsauth/token"
)

const (
	forgotten   = time.Minute // after which a kid that was not found is asked for again
	maxUnknown  = 256
	longestName = 256 // bytes of a kid

	// maxWait is how long a request waits for a fetch that is under way.
	maxWait = 2 * time.Second
)

// Keys are the keys of one provider. It is safe for concurrent use.
type Keys struct {
	config  Config
	reach   reach
	client  *http.Client
	found   atomic.Pointer[string] // where the keys were the last time
	current atomic.Pointer[state]

	mu       sync.Mutex
	fetching chan struct{}      // closed at the end of the fetch that is under way; nil: none is
	asked    time.Time          // when it began
	failed   error              // what the last fetch failed with
	next     time.Time          // before it no kid causes a fetch
	nameless bool               // the fetch under way was caused by a token without a kid
	unknown  map[string]absence // the kids that were not found
}

// A state is what the last fetch that succeeded has brought.
type state struct {
	set     *token.KeySet
	kids    map[string]bool
	digest  [sha256.Size]byte
	asked   time.Time // when that fetch began: no key that is newer was missed before
	fetched time.Time
	maxAge  time.Duration
}

// An absence says that a kid was looked for in vain.
type absence struct {
	asked time.Time // when
	until time.Time // when it may be looked for again
}

// New reports every fault of the configuration at once. It fetches nothing:
// [Keys.Run] does, or the first token.
func New(c Config) (*Keys, error) {
	c, of, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	k := &Keys{config: c, reach: of, unknown: map[string]absence{}}
	transport := c.Transport
	if transport == nil {
		transport = of.transport(c.Timeout)
	}
	k.client = &http.Client{Transport: transport, CheckRedirect: of.checkRedirect}
	return k, nil
}

// ErrUnavailable says that the keys cannot be fetched, so that nobody can know
// whether there is the one that is looked for.
var ErrUnavailable = errors.New("remotekeys: the keys of the provider cannot be fetched")

// KeySet implements token.KeySource. A kid that the set has costs nothing; for
// one that it has not the set may be fetched again, within Timeout and as
// seldom as MinInterval says. The error is [ErrUnavailable] or that of ctx.
func (k *Keys) KeySet(ctx context.Context, kid string) (*token.KeySet, error) {
	if set, ok := k.known(kid); ok {
		return set, nil
	}
	return k.find(ctx, kid, nil)
}

// KeySetSoon implements token.AgingKeySource. It is KeySet that waits at most
// 2 s for a fetch.
func (k *Keys) KeySetSoon(ctx context.Context, kid string) (*token.KeySet, error) {
	if set, ok := k.known(kid); ok {
		return set, nil
	}
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	return k.find(ctx, kid, timer.C)
}

// MayMiss implements token.AgingKeySource. A kid that was looked for in vain
// belongs to no token that is older than that, whatever the leeway: it must
// not help against a token that is shown again and again.
//
// A token without a kid is tried with all keys, and does not say which one it
// misses. So it has the keys fetched again, in the background, where it may be
// newer than they are.
func (k *Keys) MayMiss(kid string, issued time.Time, leeway time.Duration) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.current.Load()
	if s == nil || kid != "" && s.kids[kid] {
		return false
	}
	if of, found := k.unknown[kid]; found && issued.Unix() <= of.asked.Unix() {
		return false
	}
	if issued.Before(s.asked.Truncate(time.Second).Add(-leeway)) { // an iat has whole seconds
		return false
	}
	if now := time.Now(); kid == "" && k.fetching == nil && !now.Before(k.next) {
		k.begin(k.failed != nil)
		k.nameless = true
	}
	return true
}

// known returns the keys if they may be used and have one named kid.
func (k *Keys) known(kid string) (*token.KeySet, bool) {
	if s := k.current.Load(); s != nil && k.fresh(s) && (kid == "" || s.kids[kid]) {
		return s.set, true
	}
	return nil, false
}

// find asks for the keys unless it was done just now, and waits for them until
// enough, a channel that may be nil, says so.
func (k *Keys) find(ctx context.Context, kid string, enough <-chan time.Time) (*token.KeySet, error) {
	begun, looked := time.Now(), false
	for !looked {
		done, asked := k.ask(kid)
		if done == nil {
			break
		}
		select {
		case <-done:
			looked = !asked.Before(begun) // else the key may be newer than that fetch
		case <-enough:
			return k.answer(kid, false)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return k.answer(kid, looked)
}

// fresh reports whether the keys may be used, however old they are.
func (k *Keys) fresh(s *state) bool {
	return k.config.MaxStale == 0 || time.Since(s.fetched) <= k.config.MaxStale
}

// ask begins a fetch for a kid that is not known, if that may be and none is
// under way, and returns what to wait for, nil for nothing, and since when.
func (k *Keys) ask(kid string) (done <-chan struct{}, asked time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if k.fetching == nil {
		if now.Before(k.next) || now.Before(k.unknown[kid].until) || k.has(kid) {
			return nil, time.Time{}
		}
		k.begin(k.failed != nil) // the keys may have moved
	}
	return k.fetching, k.asked
}

// has reports whether the fetch before has brought the key. k.mu is held.
func (k *Keys) has(kid string) bool {
	_, found := k.known(kid)
	return found
}

// answer is what is known now. A kid that is not there is not looked for again
// for a while, if it was looked for: the key may be newer than the last fetch.
func (k *Keys) answer(kid string, looked bool) (*token.KeySet, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.current.Load()
	switch {
	case s == nil || !k.fresh(s):
	case kid == "" || s.kids[kid]:
		return s.set, nil
	case k.failed == nil && looked:
		k.remember(kid, s.asked)
		return s.set, nil
	case k.failed == nil:
		return s.set, nil
	case s.kids[""]: // a key without a name is for every kid, so that a known key may be the one
		return s.set, nil
	}
	if k.failed == nil {
		return nil, ErrUnavailable
	}
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, k.failed)
}

// remember keeps a kid that is not there from causing fetches for a while.
func (k *Keys) remember(kid string, asked time.Time) {
	if len(kid) > longestName || time.Now().Before(k.unknown[kid].until) {
		return
	}
	for other := range k.unknown {
		if len(k.unknown) < maxUnknown {
			break
		}
		delete(k.unknown, other) // any: MinInterval bounds what that costs
	}
	k.unknown[kid] = absence{asked, time.Now().Add(forgotten)}
}

// begin starts the one fetch that may be under way. It does not end with the
// request that caused it, for others wait for it too. k.mu is held.
func (k *Keys) begin(again bool) <-chan struct{} {
	done := make(chan struct{})
	k.fetching, k.asked = done, time.Now()
	asked := k.asked
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.Background(), k.config.Timeout)
		defer cancel()
		d, err := k.fetch(ctx, again)
		k.end(d, asked, err)
	}()
	return done
}

// end takes what a fetch has brought.
func (k *Keys) end(d document, asked time.Time, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		err = k.take(d, asked)
	}
	if err == nil {
		k.found.Store(&d.address)
	}
	if err != nil && k.failed == nil { // once for each outage
		k.config.Logger.Warn("the keys of a provider cannot be fetched", "issuer", k.config.Issuer, "url", k.config.URL, "err", err)
	}
	if err == nil && k.failed != nil {
		k.config.Logger.Info("the keys of a provider are fetched again", "issuer", k.config.Issuer, "url", k.config.URL)
	}
	if k.nameless && err == nil {
		k.unknown[""] = absence{asked: asked}
	}
	k.failed, k.fetching, k.nameless = err, nil, false
	k.next = time.Now().Add(k.config.MinInterval)
}

// take makes the fetched set the current one. The same set keeps its pointer.
func (k *Keys) take(d document, asked time.Time) error {
	next := &state{digest: sha256.Sum256(d.body), asked: asked, fetched: time.Now(), maxAge: d.maxAge, kids: map[string]bool{}}
	if s := k.current.Load(); s != nil && s.digest == next.digest {
		next.set, next.kids = s.set, s.kids
		k.current.Store(next)
		return nil
	}
	set, faults, err := token.ParsePublicKeySet(d.body, k.config.Algorithms...)
	if err != nil {
		return fmt.Errorf("key set: %w", err)
	}
	for _, fault := range faults {
		k.config.Logger.Warn("a key of a provider cannot be used", "issuer", k.config.Issuer, "url", k.config.URL, "err", fault)
	}
	for _, key := range set.Keys() {
		next.kids[key.ID()] = true
	}
	next.set = set
	for kid, of := range k.unknown {
		k.unknown[kid] = absence{asked: of.asked} // may be looked for again
	}
	k.current.Store(next)
	return nil
}
