package token

import (
	"context"
	"strings"
	"sync"
	"time"
)

// cache remembers verified tokens so that their signature need not be checked
// again. It holds only tokens signed with asymmetric keys, because an HMAC is
// cheap to check.
//
// The key is the whole text of the token including the signature, since that
// is what was verified. Only valid tokens are stored, so an attacker cannot
// fill the cache with invalid ones. The clock, and whether the keys are still
// the same, are checked on every use. A nil *cache stores nothing.
type cache struct {
	size int // capacity of each generation

	mu    sync.Mutex
	young map[string]verified
	old   map[string]verified // dropped when young is full
}

// verified is the result of verifying a token.
type verified struct {
	claims *Claims // never handed out; see Claims.clone
	by     *Verifier
	kid    string
	key    *Key
	keys   *KeySet // the key set in use at that time
}

// newCache returns a cache that remembers at least size tokens and at most
// twice as many.
func newCache(size int) *cache {
	if size <= 0 {
		return nil
	}
	return &cache{size: size, young: make(map[string]verified)}
}

func (c *cache) capacity() int {
	if c == nil {
		return 0
	}
	return c.size
}

// verify looks raw up in the cache. If found is true, claims and err are the
// result for raw at the present time.
func (c *cache) verify(ctx context.Context, raw string) (claims *Claims, err error, found bool) {
	if c == nil {
		return nil, nil, false
	}
	v, found := c.get(raw)
	if !found {
		return nil, nil, false
	}
	if !v.current(ctx) {
		c.forget(raw)
		return nil, nil, false
	}
	if err := v.by.check(dateRules, v.claims, time.Now()); err != nil {
		c.forget(raw)
		return nil, err, true
	}
	return v.claims.clone(), nil, true
}

// current reports whether the keys are still those that verified the token.
func (v verified) current(ctx context.Context) bool {
	keys, err := v.by.keys.KeySet(ctx, v.kid)
	return err == nil && keys == v.keys
}

// keep stores v under raw if its key is asymmetric, and returns the claims for
// the caller.
func (c *cache) keep(raw string, v *verified) *Claims {
	if c == nil || v.key.public() == nil {
		return v.claims
	}
	c.put(strings.Clone(raw), *v) // raw may share the memory of a request
	return v.claims.clone()
}

func (c *cache) get(raw string) (verified, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, found := c.young[raw]
	if !found {
		if v, found = c.old[raw]; found {
			c.add(raw, v)
		}
	}
	return v, found
}

func (c *cache) put(raw string, v verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(raw, v)
}

func (c *cache) add(raw string, v verified) {
	if len(c.young) >= c.size {
		c.young, c.old = make(map[string]verified), c.young
	}
	c.young[raw] = v
}

func (c *cache) forget(raw string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.young, raw)
	delete(c.old, raw)
}
