package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"wsauth/internal/gateway/discovery"
	"wsauth/internal/gateway/fault"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/tokens"
	"wsauth/token"
)

// An arrival is a request that an upstream got, with the result of verifying
// its assertion.
type arrival struct {
	own, raw string // the address of the upstream, and the assertion
	subject  string
	err      error
}

// verifyingUpstream starts an upstream that admits only requests whose
// assertion it has verified with the keys that the gateway publishes.
func verifyingUpstream(t *testing.T, gateway string, arrivals chan<- arrival) string {
	t.Helper()
	b := &backend{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := arrival{own: "http://" + r.Context().Value(http.LocalAddrContextKey).(net.Addr).String(), raw: r.Header.Get("X-Client-Token")}
		a.subject, a.err = verified(r.Context(), gateway, a.own, a.raw)
		arrivals <- a
		if a.err != nil {
			http.Error(w, "not verified", http.StatusForbidden)
			return
		}
		b.echo(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// verified verifies an assertion with an independent implementation and returns
// its subject.
func verified(ctx context.Context, gateway, own, raw string) (string, error) {
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(raw, &claims, func(t *jwt.Token) (any, error) { return published(ctx, gateway, t.Header["kid"]) },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithAudience(own), jwt.WithIssuer("https://gw.example"), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	if err != nil {
		return "", err
	}
	if life := claims.ExpiresAt.Sub(claims.IssuedAt.Time); life != time.Minute {
		return "", fmt.Errorf("it lives for %s", life)
	}
	return claims.Subject, nil
}

// published fetches the keys of the gateway, and returns the one with that ID.
func published(ctx context.Context, gateway string, kid any) (*ecdsa.PublicKey, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, gateway+"/.well-known/jwks.json", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var set struct {
		Keys []struct{ Kid, X, Y string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		return nil, fmt.Errorf("%s: %w", resp.Status, err)
	}
	for _, k := range set.Keys {
		if k.Kid != kid {
			continue
		}
		x, errX := base64.RawURLEncoding.DecodeString(k.X)
		y, errY := base64.RawURLEncoding.DecodeString(k.Y)
		if err := errors.Join(errX, errY); err != nil {
			return nil, err
		}
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y)) // SEC 1 section 2.3.3
	}
	return nil, errors.New("no such key")
}

// TestUpstreamsVerifyAssertions checks that each upstream of a route can
// verify its assertions, whether users log in at the gateway or not.
func TestUpstreamsVerifyAssertions(t *testing.T) {
	for name, noAuth := range map[string]bool{"with logins": false, "without": true} {
		t.Run(name, func(t *testing.T) {
			l, err := front.Listen(t.Context(), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			url, arrivals := "http://"+l.Addr().String(), make(chan arrival, 2)
			upstreams := []string{verifyingUpstream(t, url, arrivals), verifyingUpstream(t, url, arrivals)}
			r := serve(t, l, url, &http.Transport{}, []func(*Config){func(c *Config) {
				c.Tokens.Keys, c.Tokens.Issuer, c.NoAuth = must(token.NewKeySet(must(token.GenerateKey(token.ES256)))), "https://gw.example", noAuth
				c.Routes = []proxy.Route{{Path: "/", Upstreams: upstreams, Assertion: "X-Client-Token"}}
			}})
			access := must(r.g.issuer.Access("ada", token.Options{})).Raw
			seen := map[string]bool{}
			for range upstreams {
				conn, _, err := r.DialPath("/socket", nil, bearer(access))
				var a arrival
				select {
				case a = <-arrivals: // before it has answered
				default:
				}
				if err != nil || a.err != nil || a.subject != "ada" {
					t.Fatalf("%s: got %q, %v, %v", a.own, a.subject, a.err, err)
				}
				r.WantEcho(conn, "hello")
				seen[a.own] = true
				if _, err := verified(t.Context(), url, "http://127.0.0.1:1", a.raw); !errors.Is(err, jwt.ErrTokenInvalidAudience) {
					t.Errorf("verified for another server: %v", err)
				}
			}
			if len(seen) != 2 || !seen[upstreams[0]] || !seen[upstreams[1]] {
				t.Errorf("asked upstreams: %v", seen)
			}
		})
	}
}

// TestKeysArePublishedWhileARouteAsserts checks that a gateway with NoAuth
// publishes its keys while a route has an assertion.
func TestKeysArePublishedWhileARouteAsserts(t *testing.T) {
	b := newBackend(t)
	r := serveBehind(t, b, func(c *Config) {
		c.Login.Users, c.NoAuth, c.Tokens.Keys = nil, true, must(token.NewKeySet(must(token.GenerateKey(token.ES256))))
		c.Routes[0].Public = true
	})
	passedOn := "GET " + discovery.KeysPath + " user="
	if e := r.get(discovery.KeysPath); e.Text != passedOn {
		t.Errorf("no route asserts: %d %s", e.StatusCode, e.Text)
	}
	public, asserting := proxy.Route{Path: "/", Upstreams: []string{b.URL}, Public: true}, proxy.Route{Path: "/a", Upstreams: []string{b.URL}, Assertion: "X-Client-Token"}
	if err := r.g.Update([]proxy.Route{public, asserting}); err != nil {
		t.Fatal(err)
	}
	if e := r.get(discovery.KeysPath); e.StatusCode != http.StatusOK || e.Header.Get("Content-Type") != "application/jwk-set+json" {
		t.Errorf("a route asserts: %d %s", e.StatusCode, e.Text)
	}
	for _, path := range []string{discovery.MetadataPath, "/auth/session"} {
		if e := r.get(path); e.Text != "GET "+path+" user=" {
			t.Errorf("%s: got %d %s, want the answer of the upstream", path, e.StatusCode, e.Text)
		}
	}
	if err := r.g.Update([]proxy.Route{public}); err != nil {
		t.Fatal(err)
	}
	if e := r.get(discovery.KeysPath); e.Text != passedOn {
		t.Errorf("no route asserts now: %d %s", e.StatusCode, e.Text)
	}
}

// TestNoAssertionBySecret checks that assertions are not signed with a shared
// secret: an upstream that could verify them could issue tokens.
func TestNoAssertionBySecret(t *testing.T) {
	b := newBackend(t)
	routes := []proxy.Route{{Path: "/a", Upstreams: []string{b.URL}}, {Path: "/b", Upstreams: []string{b.URL}, Assertion: "X-Client-Token"}}
	secret, pair := must(token.GenerateKey(token.HS256)), must(token.GenerateKey(token.ES256))
	want := func(err error) {
		t.Helper()
		f, ok := errors.AsType[*fault.Fault](err)
		if !ok || f.Field != "Routes[1].Assertion" || !strings.Contains(f.Error(), "secret (HS256)") || !strings.Contains(f.Error(), "wsauth keys generate") {
			t.Errorf("got %v, want a fault of Routes[1].Assertion with its cure", err)
		}
	}
	_, err := New(Config{Tokens: tokens.Config{Keys: must(token.NewKeySet(secret))}, Routes: routes})
	want(err)
	want(serveBehind(t, b).g.Update(routes)) // its key is a secret
	if _, err := (Config{Tokens: tokens.Config{Keys: must(token.NewKeySet(pair, secret))}, Routes: routes}).Check(); err != nil {
		t.Errorf("a secret that does not sign: %v", err)
	}
	if _, err := (Config{Routes: routes}).Check(); err == nil || strings.Contains(err.Error(), "Assertion") {
		t.Errorf("no key: %v", err)
	}
}
