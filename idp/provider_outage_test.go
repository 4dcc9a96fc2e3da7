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

// faults are all the ways in which a provider answers without keys. victim is
// an address of the private network, where a set of keys is.
func faults(victim string) map[string]http.HandlerFunc {
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

// outages are what begins the troubles of a provider, each by its name.
func outages(victim string) map[string]func(*idptest.Provider) {
	all := map[string]func(*idptest.Provider){"down": (*idptest.Provider).Down}
	for name, h := range faults(victim) {
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

// While a provider is ill in any way, its known keys open sockets, nothing else
// does, and the sockets that are open stay so; then everything is as before.
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
					timeout = time.Second / 2 // of a busy machine too, if it may try again
				}
				s := onLoopback(t, timeout, p)
				used, unused := by(p, "key-1"), by(p, "key-1")
				s.becomes(http.StatusSwitchingProtocols, "a token", used)
				conn := s.open(used)
				begin(p)
				p.Rotate("key-2", "ES256")
				p.Remove("key-1")
				s.want(http.StatusServiceUnavailable, "a new key", by(p, "key-2"))
				s.want(http.StatusServiceUnavailable, "a key that is not there", by(stranger(t, p, "nobody"), "nobody"))
				s.want(http.StatusSwitchingProtocols, "a token of before", used)
				s.want(http.StatusSwitchingProtocols, "a new token of a known key", unused)
				s.want(http.StatusUnauthorized, "another key with a known kid", by(stranger(t, p), "key-1"))
				s.wantEcho(conn)
				recoverNow(p)
				s.becomes(http.StatusSwitchingProtocols, "the new key afterwards", by(p, "key-2"))
				s.want(http.StatusUnauthorized, "the old key afterwards", used)
				s.wantEcho(conn)
			})
		}
	})
	if reached.Load() != 0 {
		t.Errorf("a redirect was followed %d times to this machine", reached.Load())
	}
}

// The same for a while, with the times of every site; and a provider whose
// discovery document alone is ill is well.
func TestProviderOutagesThatLast(t *testing.T) {
	const private = "https://10.0.0.1/stolen"
	for name, begin := range outages(private) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *site, p *idptest.Provider) {
				s.run()
				conn := s.open(by(p, "key-1"))
				begin(p)
				p.Rotate("key-2", "ES256")
				for _, d := range []time.Duration{15 * time.Minute, 5 * time.Minute} {
					time.Sleep(d)
					begun := time.Now()
					s.want(http.StatusSwitchingProtocols, "a known key", by(p, "key-1"))
					if d := time.Since(begun); d > 0 {
						t.Errorf("a token of a known key has waited %v", d)
					}
					s.want(http.StatusServiceUnavailable, "a new key", by(p, "key-2"))
					s.want(http.StatusUnauthorized, "another key with a known kid", by(stranger(t, p), "key-1"))
					if d := time.Since(begun); d > 5*time.Second {
						t.Errorf("refusals have taken %v", d)
					}
				}
				recoverNow(p)
				time.Sleep(time.Minute + 5*time.Second)
				begun := time.Now()
				s.want(http.StatusSwitchingProtocols, "the new key afterwards", by(p, "key-2"))
				if d := time.Since(begun); d > 0 {
					t.Errorf("which has not been fetched before it was needed, but in %v", d)
				}
				s.wantEcho(conn)
				if p.Fetches("/stolen") != 0 {
					t.Error("a redirect was followed into the private network")
				}
			})
		})
	}
	for name, h := range faults(private) {
		t.Run(name+" at the discovery document", func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *site, p *idptest.Provider) {
				s.run()
				s.want(http.StatusSwitchingProtocols, "a known key", by(p, "key-1"))
				p.Answer(idptest.Discovery, h)
				time.Sleep(time.Minute)
				p.Rotate("key-2", "ES256")
				s.want(http.StatusSwitchingProtocols, "a new key", by(p, "key-2"))
				p.Remove("key-1")
				time.Sleep(15*time.Minute + 5*time.Second)
				s.want(http.StatusUnauthorized, "a key that was taken back", by(stranger(t, p), "key-1"))
				p.Rotate("key-3", "ES256")
				time.Sleep(10 * time.Second) // the last fetch was just now
				s.want(http.StatusSwitchingProtocols, "another new key", by(p, "key-3"))
			})
		})
	}
}

// Before a site has ever had the keys it lets nobody in, and tells everybody to
// come again.
func TestProviderIllFromTheStart(t *testing.T) {
	for name, begin := range outages("https://10.0.0.1/stolen") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, s *site, p *idptest.Provider) {
				begin(p)
				s.run()
				s.want(http.StatusServiceUnavailable, "the key", by(p, "key-1"))
				s.want(http.StatusServiceUnavailable, "another key with its kid", by(stranger(t, p), "key-1"))
				time.Sleep(3 * time.Minute)
				s.want(http.StatusServiceUnavailable, "the key later", by(p, "key-1"))
				recoverNow(p)
				time.Sleep(time.Minute + 5*time.Second)
				s.want(http.StatusSwitchingProtocols, "the key afterwards", by(p, "key-1"))
				s.want(http.StatusUnauthorized, "another key afterwards", by(stranger(t, p), "key-1"))
			})
		})
	}
}

// logoutToken is one of OpenID Connect Back-Channel Logout 1.0 §2.4.
func logoutToken(p *idptest.Provider, kid, session string) string {
	now := time.Now().Unix()
	return p.SignWith(kid, map[string]any{"typ": "logout+jwt"}, map[string]any{
		"sub": "ada", "sid": session, "aud": "chat", "jti": serial(), "iat": now, "exp": now + 120,
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	})
}

// A logout that a known key has signed ends its sockets while the provider is
// ill; one of a key that cannot be had is neither obeyed nor lost, for the
// provider sends it again.
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
				s.want(http.StatusUnauthorized, "its token", firstToken)

				later := logoutToken(p, "key-2", "two")
				for _, raw := range []string{later, later, logoutToken(stranger(t, p, "nobody"), "nobody", "two")} {
					if got := s.logout(raw); got != http.StatusServiceUnavailable {
						t.Errorf("by a key that cannot be had: %d", got)
					}
				}
				if got := s.logout(logoutToken(stranger(t, p), "key-1", "two")); got != http.StatusBadRequest {
					t.Errorf("by another key with a known kid: %d", got)
				}
				s.wantEcho(second)
				s.want(http.StatusSwitchingProtocols, "the other token", secondToken)

				recoverNow(p)
				time.Sleep(time.Minute + 5*time.Second)
				if got := s.logout(later); got != http.StatusOK {
					t.Errorf("when it is sent again: %d", got)
				}
				s.wantEnd(second)
				if got := s.logout(later); got != http.StatusBadRequest {
					t.Errorf("and once more: %d", got)
				}
			})
		})
	}
}
