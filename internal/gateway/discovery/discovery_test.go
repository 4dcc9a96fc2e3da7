package discovery

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"wsauth/token"
)

func TestCheckIssuer(t *testing.T) {
	for issuer, good := range map[string]bool{
		"https://login.example": true, "https://login.example/": true, "https://login.example/a": true, "http://localhost:8000": true, "http://127.0.0.1": true, "http://[::1]:1": true,
		"": false, "login.example": false, "http://login.example": false, "https://": false, "https:login.example": false, "ftp://login.example": false,
		"https://a@login.example": false, "https://login.example?x": false, "https://login.example#": false, "https://login.example/ü": false, "http://localhost.example": false,
	} {
		if err := CheckIssuer(issuer); (err == nil) != good {
			t.Errorf("%q: got %v, want success: %v", issuer, err, good)
		}
	}
}

// changingKeys is a key source whose keys can change, or be unknown.
type changingKeys struct{ set *token.KeySet }

func (k *changingKeys) KeySet(context.Context, string) (*token.KeySet, error) {
	if k.set == nil {
		return nil, errors.New("the store fails")
	}
	return k.set, nil
}

// TestKeysThatChange checks that the current keys are published, and that
// unknown keys are an error, not an empty set, which verifiers would keep.
func TestKeysThatChange(t *testing.T) {
	source := &changingKeys{}
	handler := Keys(source, slog.New(slog.DiscardHandler))
	get := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", KeysPath, nil))
		return w
	}
	if w := get(); w.Code != 503 || !strings.Contains(w.Body.String(), "store_unavailable") {
		t.Errorf("no keys: %d %s", w.Code, w.Body)
	}
	for range 2 {
		key, err := token.GenerateKey(token.ES256)
		if err != nil {
			t.Fatal(err)
		}
		if source.set, err = token.NewKeySet(key); err != nil {
			t.Fatal(err)
		}
		if w := get(); w.Code != 200 || !strings.Contains(w.Body.String(), key.ID()) {
			t.Errorf("%d %s, want the key %s", w.Code, w.Body, key.ID())
		}
	}
}
