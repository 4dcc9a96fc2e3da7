package jwks

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
	forgotten   = time.Minute // until a missing kid is looked for again
	maxUnknown  = 256
	longestName = 256 // bytes of a kid

	// maxWait is the maximum time that a request waits for a fetch.
	maxWait = 2 * time.Second
)

// Keys holds the keys of one provider. It is safe for concurrent use.
type Keys struct {
	config   Config
	reach    reach
	client   *http.Client
	lifetime context.Context // no fetch outlives it

	found   atomic.Pointer[string] // address of the last successful fetch
	current atomic.Pointer[state]

	mu sync.Mutex
	// Closed when the current fetch ends; nil: no fetch.
	fetching     chan struct{}
	fetchStarted time.Time // when the current fetch began
	failed       error     // error of the last fetch
	next         time.Time // unknown kids cause no fetch before this time
	// Whether a token without a kid caused the current fetch.
	withoutKid bool
	unknown    map[string]missingKey // kids that were not found
}

// A state is the result of the last successful fetch.
type state struct {
	set    *token.KeySet
	kids   map[string]bool
	digest [sha256.Size]byte
	// When the fetch began; keys published later may be missing.
	fetchStarted time.Time
	fetched      time.Time
	maxAge       time.Duration
}

// A missingKey records a kid that was not found.
type missingKey struct {
	fetchStarted time.Time // when the fetch began
	until        time.Time // when it may be looked for again
}

// New validates c and returns its Keys. It reports all errors in c at once. It
// does not fetch the keys: [Keys.Run] or the first token does.
func New(c Config) (*Keys, error) { return newWithLifetime(context.Background(), c) }

func newWithLifetime(lifetime context.Context, c Config) (*Keys, error) {
	c, of, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	k := &Keys{config: c, reach: of, lifetime: lifetime, unknown: map[string]missingKey{}}
	transport := c.Transport
	if transport == nil {
		transport = of.transport(c.Timeout)
	}
	k.client = &http.Client{Transport: transport, CheckRedirect: of.checkRedirect}
	return k, nil
}

// ErrUnavailable means that the keys cannot be fetched, so it is unknown
// whether a key exists.
var ErrUnavailable = errors.New("jwks: the keys of the provider cannot be fetched")

// KeySet implements token.KeySource. If the set has no key named kid, it may
// fetch the set again, within Timeout and at most once per MinInterval. The
// error is [ErrUnavailable] or that of ctx.
func (k *Keys) KeySet(ctx context.Context, kid string) (*token.KeySet, error) {
	if set, ok := k.cachedKeys(kid); ok {
		return set, nil
	}
	return k.find(ctx, kid, nil)
}

// KeySetSoon implements token.AgingKeySource. It is KeySet, but waits at most
// 2 s for a fetch.
func (k *Keys) KeySetSoon(ctx context.Context, kid string) (*token.KeySet, error) {
	if set, ok := k.cachedKeys(kid); ok {
		return set, nil
	}
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	return k.find(ctx, kid, timer.C)
}

// MayMiss implements token.AgingKeySource. Once a fetch has not found a kid,
// it returns false for all tokens with that kid that were issued before the
// fetch, whatever the leeway. Without this rule, a token that is sent again
// and again could cause fetches forever.
//
// A token without a kid is tried with all keys and does not say which key it
// needs. If it may be newer than the keys, MayMiss starts a fetch in the
// background.
func (k *Keys) MayMiss(kid string, issued time.Time, leeway time.Duration) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.current.Load()
	if s == nil || kid != "" && s.kids[kid] {
		return false
	}
	if of, found := k.unknown[kid]; found && issued.Unix() <= of.fetchStarted.Unix() {
		return false
	}
	// iat has whole seconds.
	if issued.Before(s.fetchStarted.Truncate(time.Second).Add(-leeway)) {
		return false
	}
	if kid == "" && k.fetching == nil && k.mayBegin(time.Now()) {
		k.begin(k.failed != nil)
		k.withoutKid = true
	}
	return true
}

// cachedKeys returns the keys if they are fresh and include one named kid.
func (k *Keys) cachedKeys(kid string) (*token.KeySet, bool) {
	if s := k.current.Load(); s != nil && k.fresh(s) && (kid == "" || s.kids[kid]) {
		return s.set, true
	}
	return nil, false
}

// find starts a fetch, unless there was one recently. It waits until the fetch
// ends or stopWaiting delivers a value. stopWaiting may be nil.
func (k *Keys) find(ctx context.Context, kid string, stopWaiting <-chan time.Time) (*token.KeySet, error) {
	started, searched := time.Now(), false
	for !searched {
		done, fetchStarted := k.requestFetch(kid)
		if done == nil {
			break
		}
		select {
		case <-done:
			// The key may be newer than a fetch that began before this call.
			searched = !fetchStarted.Before(started)
		case <-stopWaiting:
			return k.answer(kid, false)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return k.answer(kid, searched)
}

// fresh reports whether s is not older than MaxStale.
func (k *Keys) fresh(s *state) bool {
	return k.config.MaxStale == 0 || time.Since(s.fetched) <= k.config.MaxStale
}

// requestFetch starts a fetch for an unknown kid, unless one is in progress or
// it is too early. It returns a channel that is closed when the fetch ends, or
// nil if there is no fetch, and the time at which the fetch began.
func (k *Keys) requestFetch(kid string) (done <-chan struct{}, fetchStarted time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if k.fetching == nil {
		if !k.mayBegin(now) || now.Before(k.unknown[kid].until) || k.has(kid) {
			return nil, time.Time{}
		}
		k.begin(k.failed != nil) // the keys may have moved
	}
	return k.fetching, k.fetchStarted
}

// has reports whether the previous fetch found the key. k.mu must be held.
func (k *Keys) has(kid string) bool {
	_, found := k.cachedKeys(kid)
	return found
}

// answer returns the current keys or an error. If searched is set and kid was
// not found, it is not looked for again for a while. If searched is not set,
// the key may be newer than the last fetch.
func (k *Keys) answer(kid string, searched bool) (*token.KeySet, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.current.Load()
	switch {
	case s == nil || !k.fresh(s):
	case kid == "" || s.kids[kid]:
		return s.set, nil
	case k.failed == nil && searched:
		k.remember(kid, s.fetchStarted)
		return s.set, nil
	case k.failed == nil:
		return s.set, nil
	// A key without a name applies to every kid, so a known key may be the
	// right one.
	case s.kids[""]:
		return s.set, nil
	}
	if k.failed == nil {
		return nil, ErrUnavailable
	}
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, k.failed)
}

// remember prevents fetches for a missing kid for a while.
func (k *Keys) remember(kid string, fetchStarted time.Time) {
	if len(kid) > longestName || time.Now().Before(k.unknown[kid].until) {
		return
	}
	for other := range k.unknown {
		if len(k.unknown) < maxUnknown {
			break
		}
		delete(k.unknown, other) // any one: MinInterval bounds the cost
	}
	k.unknown[kid] = missingKey{fetchStarted, time.Now().Add(forgotten)}
}

// mayBegin reports whether a token may cause a fetch now. k.mu must be held.
func (k *Keys) mayBegin(now time.Time) bool {
	return !now.Before(k.next) && k.lifetime.Err() == nil
}

// begin starts a fetch; only one may be in progress. The fetch does not depend
// on the context of the request that caused it, because others wait for it,
// too. k.mu must be held.
func (k *Keys) begin(again bool) <-chan struct{} {
	done := make(chan struct{})
	k.fetching, k.fetchStarted = done, time.Now()
	fetchStarted := k.fetchStarted
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(k.lifetime, k.config.Timeout)
		defer cancel()
		d, err := k.fetch(ctx, again)
		k.end(d, fetchStarted, err)
	}()
	return done
}

// end records the result of a fetch.
func (k *Keys) end(d document, fetchStarted time.Time, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		err = k.take(d, fetchStarted)
	}
	if err == nil {
		k.found.Store(&d.address)
	}
	if err != nil && k.failed == nil && k.lifetime.Err() == nil { // once per outage
		k.config.Logger.Warn("the keys of a provider cannot be fetched", "issuer", k.config.Issuer, "url", k.config.URL, "error", err)
	}
	if err == nil && k.failed != nil {
		k.config.Logger.Info("the keys of a provider are fetched again", "issuer", k.config.Issuer, "url", k.config.URL)
	}
	if k.withoutKid && err == nil {
		k.unknown[""] = missingKey{fetchStarted: fetchStarted}
	}
	k.failed, k.fetching, k.withoutKid = err, nil, false
	k.next = time.Now().Add(k.config.MinInterval)
}

// take makes the fetched set the current one. If the set is unchanged, its
// pointer stays the same.
func (k *Keys) take(d document, fetchStarted time.Time) error {
	next := &state{digest: sha256.Sum256(d.body), fetchStarted: fetchStarted, fetched: time.Now(), maxAge: d.maxAge, kids: map[string]bool{}}
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
		k.config.Logger.Warn("a key of a provider cannot be used", "issuer", k.config.Issuer, "url", k.config.URL, "error", fault)
	}
	for _, key := range set.Keys() {
		next.kids[key.ID()] = true
	}
	next.set = set
	for kid, of := range k.unknown {
		k.unknown[kid] = missingKey{fetchStarted: of.fetchStarted} // may be looked for again
	}
	k.current.Store(next)
	return nil
}
