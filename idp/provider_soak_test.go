package idp_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"wsauth/internal/idptest"
)

var soakSeed = flag.Uint64("soak.seed", 0, "the seed of TestProviderSoak; 0: another each time")

// A soakKey is a key of the provider, with the state that the test tracks.
type soakKey struct {
	kid       string
	published time.Time
	removed   time.Time // zero: not removed
	known     bool      // one of its tokens was accepted
	tokens    []string  // issued before it was removed
}

// A soak simulates several hours of random events at a provider and a site.
type soak struct {
	t              *testing.T
	s              *site
	p              *idptest.Provider
	theirs         *idptest.Provider // has the same issuer, and other keys with the same kids
	random         *rand.Rand
	keys           []*soakKey
	faults         []http.HandlerFunc
	failing        bool
	availableSince time.Time // since when the provider has been available
	done           map[string]int
}

// The time within which a site must detect a change while the provider is
// available. When that time starts, a fetch in progress may hang until its
// timeout.
const (
	findsNew    = 10*time.Second + 5*time.Second  // if a token needs the new key
	forgetsGone = 15*time.Minute + 10*time.Second // even if no token causes a fetch
)

// TestProviderSoak checks that during random sequences of events, a token opens
// no socket if its key never existed, or was removed longer ago than the site
// needs to detect this. A token must not be refused if its key is published and
// the site knows it or can fetch it.
func TestProviderSoak(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	inBubble(t, func(t *testing.T, s *site, p *idptest.Provider) {
		k := &soak{
			t: t, s: s, p: p, theirs: stranger(t, p), random: rand.New(rand.NewPCG(seed, 1)), done: map[string]int{}, availableSince: time.Now(),
			keys: []*soakKey{{kid: "key-1", published: time.Now()}},
		}
		all := failures("https://10.0.0.1/stolen")
		for _, name := range slices.Sorted(maps.Keys(all)) {
			k.faults = append(k.faults, all[name])
		}
		s.run()
		s.wantStatus(http.StatusSwitchingProtocols, "the first key", tokenByKey(p, "key-1"))
		started := time.Now()
		for range 1200 {
			if k.step(); t.Failed() {
				break
			}
		}
		time.Sleep(10 * time.Second) // no fetch is in progress
		t.Logf("-soak.seed=%d: %v of %v", seed, time.Since(started).Round(time.Minute), k.done)
		if p.Fetches("/stolen") != 0 {
			t.Error("a redirect was followed into the private network")
		}
		for _, what := range []string{"accepted", "refused: gone", "refused: never there", "refused: another key", "unavailable"} {
			if k.done[what] == 0 && !t.Failed() {
				t.Errorf("no handshake was %s in all these hours", what)
			}
		}
	})
}

// step performs one random step.
func (k *soak) step() {
	switch n := k.random.IntN(100); {
	case n < 5:
		k.rotate()
	case n < 9:
		k.remove()
	case n < 13:
		k.startOutage()
	case n < 22:
		k.endOutage()
	case n < 24:
		k.p.SetHeader("Cache-Control", []string{"", "max-age=1", "max-age=99999999", "no-store"}[k.random.IntN(4)])
	case n < 26:
		k.p.Publish([][]string{nil, {"{}", "7", "null"}, {`{"kty":"oct","alg":"HS256","kid":"secret","k":"` + b64(make([]byte, 32)) + `"}`}}[k.random.IntN(3)]...)
	case n < 45:
		time.Sleep(time.Duration(k.random.IntN(30)) * time.Second)
	case n < 47:
		time.Sleep(time.Duration(k.random.IntN(40)) * time.Minute)
	default:
		k.handshake()
	}
}

func (k *soak) live() []*soakKey {
	return slices.DeleteFunc(slices.Clone(k.keys), func(key *soakKey) bool { return !key.removed.IsZero() })
}

func (k *soak) rotate() {
	if len(k.live()) > 5 {
		return
	}
	kid := fmt.Sprint("key-", len(k.keys)+1)
	alg := []string{"ES256", "EdDSA"}[k.random.IntN(2)]
	k.p.Rotate(kid, alg)
	k.theirs.Rotate(kid, alg)
	k.keys = append(k.keys, &soakKey{kid: kid, published: time.Now()})
}

func (k *soak) remove() {
	live := k.live()
	if len(live) < 2 {
		return
	}
	key := live[k.random.IntN(len(live))]
	key.tokens = append(key.tokens, tokenByKey(k.p, key.kid)) // a token that was never used
	k.p.Remove(key.kid)
	key.removed = time.Now()
}

// startOutage makes the provider fail, in whole or in part. The provider may
// already have failed.
func (k *soak) startOutage() {
	h := k.faults[k.random.IntN(len(k.faults))]
	switch k.random.IntN(4) {
	case 0:
		k.p.Answer(idptest.Discovery, h)
		return // available: the keys are at the same address
	case 1:
		k.p.Answer(idptest.JWKS, h)
	case 2:
		k.p.Answer("", h)
	case 3:
		k.p.Down()
	}
	k.failing = true
}

// endOutage makes the provider available again, perhaps without its discovery
// document.
func (k *soak) endOutage() {
	recoverNow(k.p)
	if k.random.IntN(2) == 0 {
		k.p.Answer(idptest.Discovery, k.faults[k.random.IntN(len(k.faults))])
	}
	if k.failing {
		k.failing, k.availableSince = false, time.Now()
	}
}

// availableFor reports whether the provider has been available for d since a
// time.
func (k *soak) availableFor(d time.Duration, moment time.Time) bool {
	if k.availableSince.After(moment) {
		moment = k.availableSince
	}
	return !k.failing && time.Since(moment) > d
}

// handshake uses a random token, and checks the result.
func (k *soak) handshake() {
	switch k.random.IntN(8) {
	case 0:
		k.checkImpossible("another key", k.theirs.SignWith(k.keys[k.random.IntN(len(k.keys))].kid, typed, access("eve", nil)))
	case 1:
		k.checkImpossible("never there", k.theirs.Sign(map[string]any{"kid": serial(), "typ": "at+jwt"}, access("eve", nil)))
	case 2:
		k.checkImpossible("without a kid", k.theirs.Sign(map[string]any{"kid": nil, "typ": "at+jwt"}, access("eve", nil)))
	case 3:
		if gone := slices.DeleteFunc(slices.Clone(k.keys), func(key *soakKey) bool { return key.removed.IsZero() }); len(gone) > 0 {
			k.checkPossible(gone[k.random.IntN(len(gone))])
		}
	default:
		live := k.live()
		k.checkPossible(live[k.random.IntN(len(live))])
	}
}

// checkImpossible uses a token that must never open a socket.
func (k *soak) checkImpossible(what, raw string) {
	k.t.Helper()
	status := k.s.status(raw)
	k.count(status, what)
	if status == http.StatusSwitchingProtocols {
		k.t.Errorf("accepted: %s", what)
	}
}

// checkPossible uses a token of a key that is or was published.
func (k *soak) checkPossible(key *soakKey) {
	k.t.Helper()
	var raw string
	if n := len(key.tokens); !key.removed.IsZero() || n > 0 && k.random.IntN(2) == 0 {
		raw = key.tokens[k.random.IntN(n)]
	} else {
		raw = tokenByKey(k.p, key.kid)
		key.tokens = append(key.tokens, raw)
	}
	if time.Since(key.published) > 20*time.Hour {
		return // its first tokens expire soon
	}
	must := key.removed.IsZero() && (key.known || k.availableFor(findsNew, key.published))
	mustNot := !key.removed.IsZero() && k.availableFor(forgetsGone, key.removed)
	status := k.s.status(raw)
	accepted := status == http.StatusSwitchingProtocols
	switch {
	case must && !accepted:
		k.t.Errorf("%s, which is published: %d; known: %v, failing: %v, available since %v", key.kid, status, key.known, k.failing, time.Since(k.availableSince))
	case mustNot && accepted:
		k.t.Errorf("%s is accepted, %v after it was taken back", key.kid, time.Since(key.removed))
	}
	key.known = key.known || accepted
	k.count(status, "gone")
}

func (k *soak) count(status int, what string) {
	switch status {
	case http.StatusSwitchingProtocols:
		what = "accepted"
	case http.StatusServiceUnavailable:
		what = "unavailable"
	default:
		what = "refused: " + what
	}
	k.done[what]++
}
