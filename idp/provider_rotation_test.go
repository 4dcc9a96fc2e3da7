package idp_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"wsauth/internal/idptest"
)

// wantFetches checks the numbers of fetches of the discovery document and of
// the keys.
func wantFetches(t *testing.T, p *idptest.Provider, discovery, keys int) {
	t.Helper()
	if d, k := p.Fetches(idptest.Discovery), p.Fetches(idptest.JWKS); d != discovery || k != keys {
		t.Errorf("%d fetches of the discovery document and %d of the keys, want %d and %d", d, k, discovery, keys)
	}
}

// TestProviderRotation checks that a new key is fetched once while the old one
// stays valid. A withdrawn key opens no socket, not even with a token that has
// opened one before.
func TestProviderRotation(t *testing.T) {
	p := idptest.New(t)
	s := onLoopback(t, patience, p)
	first := tokenByKey(p, "key-1")
	conn := s.open(first)
	wantFetches(t, p, 1, 1)
	for i, alg := range []string{"RS256", "EdDSA", "ES256"} {
		kid := fmt.Sprint(alg, "-key")
		p.Rotate(kid, alg)
		for range 3 {
			s.wantStatus(http.StatusSwitchingProtocols, "the new key "+kid, tokenByKey(p, kid))
			s.wantStatus(http.StatusSwitchingProtocols, "the first key", tokenByKey(p, "key-1"))
		}
		wantFetches(t, p, 1, 2+i)
	}
	unused := tokenByKey(p, "key-1")
	p.Remove("key-1")
	s.wantStatus(http.StatusUnauthorized, "a key that is not there", tokenByKey(stranger(t, p, "nobody"), "nobody"))
	wantFetches(t, p, 1, 5)
	s.wantStatus(http.StatusUnauthorized, "a token of before, of a key that was taken back", first)
	s.wantStatus(http.StatusUnauthorized, "a new token of a key that was taken back", unused)
	s.wantStatus(http.StatusSwitchingProtocols, "a key that was not", tokenByKey(p, "EdDSA-key"))
	s.wantEcho(conn)
}

// stranger returns a provider with the issuer of p, but other keys with these
// kids.
func stranger(t *testing.T, p *idptest.Provider, kids ...string) *idptest.Provider {
	t.Helper()
	other := idptest.NewInMemory(t, p.Issuer())
	for _, kid := range kids {
		other.Rotate(kid, "ES256")
	}
	return other
}

// TestProviderKeyTakenBackInTime checks that a withdrawn key is valid until the
// next regular fetch at most, even if no token causes a fetch.
func TestProviderKeyTakenBackInTime(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site, p *idptest.Provider) {
		s.run()
		p.Rotate("key-2", "ES256")
		used, unused := tokenByKey(p, "key-1"), tokenByKey(p, "key-1")
		s.wantStatus(http.StatusSwitchingProtocols, "a key", used)
		p.Remove("key-1")
		time.Sleep(15 * time.Minute)
		s.wantStatus(http.StatusUnauthorized, "a token that was remembered", used)
		s.wantStatus(http.StatusUnauthorized, "a token that was not", unused)
		s.wantStatus(http.StatusSwitchingProtocols, "the other key", tokenByKey(p, "key-2"))
	})
}

// TestR16_ProviderUnknownKids checks that ten thousand handshakes with unknown
// kids cause one fetch, also during an outage. They delay neither known keys
// nor a new one.
func TestR16_ProviderUnknownKids(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site, p *idptest.Provider) {
		s.wantStatus(http.StatusSwitchingProtocols, "a known key", tokenByKey(p, "key-1"))
		other := stranger(t, p, "nobody")
		flood := func(n, status int, issued time.Time) {
			const clients = 50
			var all sync.WaitGroup
			for range clients {
				all.Go(func() {
					for i := range n / clients {
						kid := map[string]any{"kid": "unknown-" + serial(), "typ": "at+jwt"}
						s.wantStatus(status, "an unknown kid", other.Sign(kid, access("eve", map[string]any{"iat": issued.Unix()})))
						if i%50 == 0 {
							s.wantStatus(http.StatusSwitchingProtocols, "a known key", tokenByKey(p, "key-1"))
						}
					}
				})
			}
			all.Wait()
		}
		time.Sleep(time.Minute)
		wantFetches(t, p, 1, 1)
		flood(10_000, http.StatusUnauthorized, time.Now().Add(-2*time.Minute))
		wantFetches(t, p, 1, 2)
		flood(1000, http.StatusServiceUnavailable, time.Now()) // the keys may be newer than the last fetch
		wantFetches(t, p, 1, 2)
		p.Rotate("key-2", "ES256")
		time.Sleep(10 * time.Second)
		s.wantStatus(http.StatusSwitchingProtocols, "a new key", tokenByKey(p, "key-2"))
		wantFetches(t, p, 1, 3)

		p.Answer("", idptest.Status(http.StatusInternalServerError))
		time.Sleep(10 * time.Second)
		flood(500, http.StatusServiceUnavailable, time.Now())
		wantFetches(t, p, 1, 4)
	})
}

// TestProviderRotationRaces checks that while keys are replaced, tokens of a
// permanent key are never refused, and tokens of a removed or unknown key are
// never accepted.
func TestProviderRotationRaces(t *testing.T) {
	p := idptest.New(t)
	s := onLoopback(t, patience, p)
	other := stranger(t, p)
	stop := make(chan struct{})
	var all sync.WaitGroup
	defer all.Wait()
	defer close(stop)
	for range 3 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s.wantStatus(http.StatusSwitchingProtocols, "the key that stays", tokenByKey(p, "key-1"))
				s.wantStatus(http.StatusUnauthorized, "another key with its kid", tokenByKey(other, "key-1"))
				s.wantStatus(http.StatusUnauthorized, "a kid that is not there", other.Sign(map[string]any{"kid": serial(), "typ": "at+jwt"}, access("eve", nil)))
			}
		})
	}
	// A fetch in progress may have started before the keys changed; the next
	// one starts after that.
	for i := range 20 {
		if t.Failed() {
			break
		}
		kid := fmt.Sprint("turn-", i)
		p.Rotate(kid, "ES256")
		raw := tokenByKey(p, kid)
		s.awaitStatus(http.StatusSwitchingProtocols, "a new key", raw)
		s.wantStatus(http.StatusSwitchingProtocols, "a known key", tokenByKey(p, kid))
		p.Remove(kid)
		s.awaitStatus(http.StatusUnauthorized, "a key that was taken back", raw)
		s.wantStatus(http.StatusUnauthorized, "a key that is gone", raw)
	}
}
