package gateway

import (
	"encoding/json"
	"testing"

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
	e := r.call("GET", openidPath, "")
	var says struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal([]byte(e.body), &says); err != nil || says.Issuer != "https://login.example" || says.JWKS != "https://login.example/.well-known/jwks.json" {
		t.Errorf("%s: %v", e.body, err)
	}
	e = r.call("GET", jwksPath, "")
	if e.StatusCode != 200 || e.Header.Get("Content-Type") != jwksType || e.Header.Get("Cache-Control") != publicFor {
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
	if again := r.call("GET", jwksPath, "", "If-None-Match: "+e.Header.Get("ETag")); again.StatusCode != 304 {
		t.Errorf("unchanged: %d", again.StatusCode)
	}
	if head := r.call("HEAD", jwksPath, ""); head.StatusCode != 200 || head.body != "" {
		t.Errorf("HEAD: %d %q", head.StatusCode, head.body)
	}
}

// A shared secret is not published, and a server without an issuer says so.
func TestSecretsAreNotPublished(t *testing.T) {
	r := start(t)
	if e := r.call("GET", jwksPath, ""); e.StatusCode != 200 || e.body != `{"keys":[]}` {
		t.Errorf("%d %s", e.StatusCode, e.body)
	}
	wantProblem(t, r.call("GET", openidPath, ""), 404, "", "no issuer")
	wantProblem(t, r.call("POST", "/auth/backchannel-logout", ""), 404, "", "")
}

func TestCheckIssuer(t *testing.T) {
	for issuer, good := range map[string]bool{
		"https://login.example": true, "https://login.example/": true, "https://login.example/a": true, "http://localhost:8000": true, "http://127.0.0.1": true, "http://[::1]:1": true,
		"": false, "login.example": false, "http://login.example": false, "https://": false, "https:login.example": false, "ftp://login.example": false,
		"https://a@login.example": false, "https://login.example?x": false, "https://login.example#": false, "https://login.example/ü": false, "http://localhost.example": false,
	} {
		if err := CheckIssuer(issuer); (err == nil) != good {
			t.Errorf("%q: %v", issuer, err)
		}
	}
}
