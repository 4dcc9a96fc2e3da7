package gateway

import (
	"encoding/json"
	"testing"

	"wsauth/internal/gateway/discovery"
	"wsauth/token"
)

// TestPublishedKeysVerifyTokens checks that the published keys verify our
// tokens and contain no private part.
func TestPublishedKeysVerifyTokens(t *testing.T) {
	key := must(token.GenerateKey(token.ES256))
	r := start(t, func(c *Config) {
		c.Keys = must(token.NewKeySet(key))
		c.Issuer = "https://login.example"
	})
	e := r.call("GET", discovery.MetadataPath, "")
	var says struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal([]byte(e.body), &says); err != nil || says.Issuer != "https://login.example" || says.JWKS != "https://login.example/.well-known/jwks.json" {
		t.Errorf("%s: %v", e.body, err)
	}
	e = r.call("GET", discovery.KeysPath, "")
	if e.StatusCode != 200 || e.Header.Get("Content-Type") != "application/jwk-set+json" || e.Header.Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("%d %v", e.StatusCode, e.Header)
	}
	var raw struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(e.body), &raw); err != nil || len(raw.Keys) != 1 || raw.Keys[0]["d"] != nil {
		t.Fatalf("%v", err)
	}
	set, faults, err := token.ParsePublicKeySet([]byte(e.body))
	if err != nil || len(faults) > 0 {
		t.Fatal(err, faults)
	}
	verifier := must(token.NewVerifier(token.VerifierConfig{Keys: set, Issuer: says.Issuer}))
	access, _ := r.login()
	claims, err := verifier.Verify(t.Context(), access)
	if err != nil || claims.Subject != "test" || claims.Issuer != says.Issuer {
		t.Errorf("%+v, %v", claims, err)
	}
	if again := r.call("GET", discovery.KeysPath, "", "If-None-Match: "+e.Header.Get("ETag")); again.StatusCode != 304 {
		t.Errorf("unchanged: %d", again.StatusCode)
	}
	if head := r.call("HEAD", discovery.KeysPath, ""); head.StatusCode != 200 || head.body != "" {
		t.Errorf("HEAD: %d %q", head.StatusCode, head.body)
	}
}

// A shared secret is not published, and a server without an issuer says so.
func TestSecretsAreNotPublished(t *testing.T) {
	r := start(t)
	if e := r.call("GET", discovery.KeysPath, ""); e.StatusCode != 200 || e.body != `{"keys":[]}` {
		t.Errorf("%d %s", e.StatusCode, e.body)
	}
	wantProblem(t, r.call("GET", discovery.MetadataPath, ""), 404, "", "no issuer")
	wantProblem(t, r.call("POST", "/auth/backchannel-logout", ""), 404, "", "")
}
