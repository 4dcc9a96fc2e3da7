package gateway

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wsauth/internal/gateway/discovery"
	"wsauth/internal/gateway/proxy"
	"wsauth/token"
)

// TestPublishedKeysVerifyTokens checks that the published keys verify our
// tokens and contain no private part.
func TestPublishedKeysVerifyTokens(t *testing.T) {
	key := must(token.GenerateKey(token.ES256))
	r := start(t, func(c *Config) {
		c.Tokens.Keys = must(token.NewKeySet(key))
		c.Tokens.Issuer = "https://login.example"
	})
	e := r.Call("GET", discovery.MetadataPath, "")
	var document struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal([]byte(e.Text), &document); err != nil || document.Issuer != "https://login.example" || document.JWKS != "https://login.example/.well-known/jwks.json" {
		t.Errorf("got the metadata %s, %v", e.Text, err)
	}
	e = r.Call("GET", discovery.KeysPath, "")
	if e.StatusCode != 200 || e.Header.Get("Content-Type") != "application/jwk-set+json" || e.Header.Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("got %d %v, want a key set that caches keep for 300 s", e.StatusCode, e.Header)
	}
	var raw struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(e.Text), &raw); err != nil || len(raw.Keys) != 1 || raw.Keys[0]["d"] != nil {
		t.Fatalf("%v", err)
	}
	set, faults, err := token.ParsePublicKeySet([]byte(e.Text))
	if err != nil || len(faults) > 0 {
		t.Fatal(err, faults)
	}
	verifier := must(token.NewVerifier(token.VerifierConfig{Keys: set, Issuer: document.Issuer}))
	access, _ := r.Login()
	claims, err := verifier.Verify(t.Context(), access)
	if err != nil || claims.Subject != "test" || claims.Issuer != document.Issuer {
		t.Errorf("got %+v, %v, want a token of test by %s", claims, err, document.Issuer)
	}
	if again := r.Call("GET", discovery.KeysPath, "", "If-None-Match: "+e.Header.Get("ETag")); again.StatusCode != 304 {
		t.Errorf("unchanged: %d", again.StatusCode)
	}
	if head := r.Call("HEAD", discovery.KeysPath, ""); head.StatusCode != 200 || head.Text != "" {
		t.Errorf("HEAD: %d %q", head.StatusCode, head.Text)
	}
}

// TestSecretsAreNotPublished checks that a shared secret is not published, and
// that a server without an issuer has no metadata.
func TestSecretsAreNotPublished(t *testing.T) {
	r := start(t)
	if e := r.Call("GET", discovery.KeysPath, ""); e.StatusCode != 200 || e.Text != `{"keys":[]}` {
		t.Errorf("got %d %s, want an empty key set", e.StatusCode, e.Text)
	}
	r.Call("GET", discovery.MetadataPath, "").WantProblem(t, 404, "", "no issuer")
	r.Call("POST", "/auth/backchannel-logout", "").WantProblem(t, 404, "", "")
}

// TestG10_PublishedKeys checks that pages of every origin can read the
// published keys, but never with credentials.
func TestG10_PublishedKeys(t *testing.T) {
	b := newBackendOf(t, corsUpstream)
	guarded := []proxy.Route{{Path: "/", Upstreams: []string{b.URL}}}
	for name, c := range map[string]struct {
		change func(*Config)
		keys   bool
	}{
		"no cors": {func(c *Config) { c.Routes = guarded }, true},
		"demo":    {func(*Config) {}, true},
		"credentials": {func(c *Config) {
			c.AuthCORS, c.Routes = &proxy.CORS{Origins: []string{corsApp}, Credentials: true}, guarded
		}, true},
		"no logins": {func(c *Config) { c.NoAuth, c.Routes = true, guarded }, false}, // the path belongs to the route
	} {
		r := start(t, c.change)
		for _, path := range []string{discovery.KeysPath, discovery.MetadataPath} {
			for _, origin := range []string{corsApp, corsEvil, "null"} {
				var tag string
				for _, status := range []int{200, 304, 204} {
					method, lines := "GET", []string{"Origin: " + origin}
					want := map[string]string{"Allow-Origin": "*", "Vary": "Origin"}
					switch status {
					case 304:
						lines = append(lines, "If-None-Match: "+tag)
					case 204:
						method, lines = "OPTIONS", preflightFor(origin, "GET", "content-type")
						want = map[string]string{
							"Allow-Origin": "*", "Allow-Methods": "GET, HEAD", "Allow-Headers": "Content-Type", "Max-Age": "600",
							"Vary": "Origin + Access-Control-Request-Method + Access-Control-Request-Headers",
						}
					}
					if !c.keys {
						status, want = 401, map[string]string{}
					} else if path == discovery.MetadataPath && status != 204 {
						status = 404 // there is no issuer
					}
					e := r.ask(method, path, lines...)
					if diff := cmp.Diff(want, corsOf(e.Header)); diff != "" || e.StatusCode != status {
						t.Errorf("%s: %s %s of %s: %d, want %d (- want, + got):\n%s", name, method, path, origin, e.StatusCode, status, diff)
					}
					tag = e.Header.Get("Etag")
				}
			}
		}
	}
}
