package idp_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsauth/internal/idptest"
)

// failures returns all the ways in which a provider can answer without keys.
// victim is an address in the private network with a set of keys.
func failures(victim string) map[string]http.HandlerFunc {
	all := map[string]http.HandlerFunc{
		"hang":     idptest.Hang,
		"abort":    idptest.Abort,
		"drip":     idptest.Drip(10 * time.Millisecond),
		"500":      idptest.Status(http.StatusInternalServerError),
		"404":      idptest.Status(http.StatusNotFound),
		"204":      idptest.Status(http.StatusNoContent),
		"redirect": idptest.Redirect(victim),
	}
	maps.Copy(all, idptest.Garbage())
	return all
}

// outages returns functions that start an outage of a provider, by name.
func outages(victim string) map[string]func(*idptest.Provider) {
	all := map[string]func(*idptest.Provider){"down": (*idptest.Provider).Down}
	for name, h := range failures(victim) {
		all[name] = func(p *idptest.Provider) { p.Answer("", h) }
		all[name+" at the keys"] = func(p *idptest.Provider) { p.Answer(idptest.JWKS, h) }
	}
	return all
}

func recoverNow(p *idptest.Provider) {
	p.Up()
	for _, path := range []string{"", idptest.JWKS, idptest.Discovery} {
		p.Answer(path, nil)
	}
}

// TestProviderOutages checks that during any outage, only known keys open
// sockets, and open sockets stay open. After the outage, everything works as
// before.
func TestProviderOutages(t *testing.T) {
	reached := new(atomic.Int64)
	victim := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer victim.Close()
	t.Run("all", func(t *testing.T) {
		for name, begin := range outages(victim.URL) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := idptest.New(t)
				timeout := patience
				if strings.HasPrefix(name, "hang") || strings.HasPrefix(name, "drip") {
					timeout = time.Second / 2 // enough for a busy machine, since the fetch is repeated
				}
				s := onLoopback(t, timeout, p)
				used, unused := tokenByKey(p, "key-1"), tokenByKey(p, "key-1")
				s.awaitStatus(http.StatusSwitchingProtocols, "a token", used)
				conn := s.open(used)
				begin(p)
				p.Rotate("key-2", "ES256")
				p.Remove("key-1")
				s.wantStatus(http.StatusServiceUnavailable, "a new key", tokenByKey(p, "key-2"))
				s.wantStatus(http.StatusServiceUnavailable, "a key that is not there", tokenByKey(stranger(t, p, "nobody"), "nobody"))
				s.wantStatus(http.StatusSwitchingProtocols, "a token of before", used)
				s.wantStatus(http.StatusSwitchingProtocols, "a new token of a known key", unused)
				s.wantStatus(http.StatusUnauthorized, "another key with a known kid", tokenByKey(stranger(t, p), "key-1"))
				s.wantEcho(conn)
				recoverNow(p)
				s.awaitStatus(http.StatusSwitchingProtocols, "the new key afterwards", tokenByKey(p, "key-2"))
				s.wantStatus(http.StatusUnauthorized, "the old key afterwards", used)
				s.wantEcho(conn)
			})
		}
	})
	if reached.Load() != 0 {
		t.Errorf("a redirect was followed %d times to this machine", reached.Load())
	}
}

// TestProviderOutagesThatLast checks the same for long outages, with the
// default intervals. It is not an outage if only the discovery document is
// unavailable.
func TestProviderOutagesThatLast(t *testing.T) {
	const private = "https://10.0.0.1/stolen"
	for name, begin := range outages(private) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *site, p *idptest.Provider) {
				s.run()
				conn := s.open(tokenByKey(p, "key-1"))
				begin(p)
				p.Rotate("key-2", "ES256")
				for _, d := range []time.Duration{15 * time.Minute, 5 * time.Minute} {
					time.Sleep(d)
					started := time.Now()
					s.wantStatus(http.StatusSwitchingProtocols, "a known key", tokenByKey(p, "key-1"))
					if d := time.Since(started); d > 0 {
						t.Errorf("a token with a known key has waited %v", d)
					}
					s.wantStatus(http.StatusServiceUnavailable, "a new key", tokenByKey(p, "key-2"))
					s.wantStatus(http.StatusUnauthorized, "another key with a known kid", tokenByKey(stranger(t, p), "key-1"))
					if d := time.Since(started); d > 5*time.Second {
						t.Errorf("refusals have taken %v", d)
					}
				}
				recoverNow(p)
				time.Sleep(time.Minute + 5*time.Second)
				started := time.Now()
				s.wantStatus(http.StatusSwitchingProtocols, "the new key afterwards", tokenByKey(p, "key-2"))
				if d := time.Since(started); d > 0 {
					t.Errorf("the key was not fetched in advance, but in %v", d)
				}
				s.wantEcho(conn)
				if p.Fetches("/stolen") != 0 {
					t.Error("a redirect was followed into the private network")
				}
			})
		})
	}
	for name, h := range failures(private) {
		t.Run(name+" at the discovery document", func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *site, p *idptest.Provider) {
				s.run()
				s.wantStatus(http.StatusSwitchingProtocols, "a known key", tokenByKey(p, "key-1"))
				p.Answer(idptest.Discovery, h)
				time.Sleep(time.Minute)
				p.Rotate("key-2", "ES256")
				s.wantStatus(http.StatusSwitchingProtocols, "a new key", tokenByKey(p, "key-2"))
				p.Remove("key-1")
				time.Sleep(15*time.Minute + 5*time.Second)
				s.wantStatus(http.StatusUnauthorized, "a key that was taken back", tokenByKey(stranger(t, p), "key-1"))
				p.Rotate("key-3", "ES256")
				time.Sleep(10 * time.Second) // since the last fetch
				s.wantStatus(http.StatusSwitchingProtocols, "another new key", tokenByKey(p, "key-3"))
			})
		})
	}
}

// TestProviderDownFromTheStart checks that a site that has not fetched any keys
// admits no client, and tells every client to try again.
func TestProviderDownFromTheStart(t *testing.T) {
	for name, begin := range outages("https://10.0.0.1/stolen") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *site, p *idptest.Provider) {
				begin(p)
				s.run()
				s.wantStatus(http.StatusServiceUnavailable, "the key", tokenByKey(p, "key-1"))
				s.wantStatus(http.StatusServiceUnavailable, "another key with its kid", tokenByKey(stranger(t, p), "key-1"))
				time.Sleep(3 * time.Minute)
				s.wantStatus(http.StatusServiceUnavailable, "the key later", tokenByKey(p, "key-1"))
				recoverNow(p)
				time.Sleep(time.Minute + 5*time.Second)
				s.wantStatus(http.StatusSwitchingProtocols, "the key afterwards", tokenByKey(p, "key-1"))
				s.wantStatus(http.StatusUnauthorized, "another key afterwards", tokenByKey(stranger(t, p), "key-1"))
			})
		})
	}
}

// logoutToken returns a token of OpenID Connect Back-Channel Logout 1.0 section
// 2.4.
func logoutToken(p *idptest.Provider, kid, session string) string {
	now := time.Now().Unix()
	return p.SignWith(kid, map[string]any{"typ": "logout+jwt"}, map[string]any{
		"sub": "ada", "sid": session, "aud": "chat", "jti": serial(), "iat": now, "exp": now + 120,
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	})
}

// TestProviderLogoutDuringAnOutage checks that during an outage, a logout
// signed with a known key ends its sockets. If its key is unavailable, the
// answer tells the provider to send it again.
func TestProviderLogoutDuringAnOutage(t *testing.T) {
	for name, begin := range outages("https://10.0.0.1/stolen") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *site, p *idptest.Provider) {
				s.run()
				dial := func(session string) (*websocket.Conn, string) {
					raw := p.SignWith("key-1", typed, access("ada", map[string]any{"sid": session}))
					return s.open(raw), raw
				}
				first, firstToken := dial("one")
				second, secondToken := dial("two")
				begin(p)
				p.Rotate("key-2", "ES256")
				time.Sleep(time.Minute)

				if got := s.logout(logoutToken(p, "key-1", "one")); got != http.StatusOK {
					t.Errorf("by a known key: %d", got)
				}
				s.wantEnd(first)
				s.wantStatus(http.StatusUnauthorized, "its token", firstToken)

				later := logoutToken(p, "key-2", "two")
				for _, raw := range []string{later, later, logoutToken(stranger(t, p, "nobody"), "nobody", "two")} {
					if got := s.logout(raw); got != http.StatusServiceUnavailable {
						t.Errorf("by an unavailable key: %d", got)
					}
				}
				if got := s.logout(logoutToken(stranger(t, p), "key-1", "two")); got != http.StatusBadRequest {
					t.Errorf("by another key with a known kid: %d", got)
				}
				s.wantEcho(second)
				s.wantStatus(http.StatusSwitchingProtocols, "the other token", secondToken)

				recoverNow(p)
				time.Sleep(time.Minute + 5*time.Second)
				if got := s.logout(later); got != http.StatusOK {
					t.Errorf("when it is sent again: %d", got)
				}
				s.wantEnd(second)
				if got := s.logout(later); got != http.StatusBadRequest {
					t.Errorf("sent once more: %d", got)
				}
			})
		})
	}
}
