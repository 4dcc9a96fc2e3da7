package token

import (
	"context"
	"strings"
	"sync"
	"time"
)

// cache remembers tokens that were verified, so that their signature is not
// checked again. It is for asymmetric algorithms only, where that pays.
//
// Its key is the whole text of the token, signature included: nothing shorter
// was verified. Only tokens that are valid get in, so that nobody can fill it
// with others. Everything else is checked each time: the clock, and whether the
// keys are still the same. A nil *cache remembers nothing.
type cache struct {
	size int // of each generation

	mu    sync.Mutex
	young map[string]verified
	old   map[string]verified // what was not asked for again goes with it
}

// verified is what a verifier found out about a token.
type verified struct {
	claims *Claims // never handed out; see Claims.clone
	by     *Verifier
	kid    string
	key    *Key
	keys   *KeySet // those that counted then
}

// newCache remembers at least size tokens and at most twice as many.
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

// verify reports whether raw was verified before, and if it was what is to be
// said of it now.
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

// current reports whether the keys are still those that the token was verified with.
func (v verified) current(ctx context.Context) bool {
	keys, err := v.by.keys.KeySet(ctx, v.kid)
	return err == nil && keys == v.keys
}

// keep remembers raw if that pays, and returns the claims for the caller.
func (c *cache) keep(raw string, v *verified) *Claims {
	if c == nil || v.key.public() == nil {
		return v.claims
	}
	c.put(strings.Clone(raw), *v) // raw may be a part of a request
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
