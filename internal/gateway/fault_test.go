package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wsauth"
	"wsauth/internal/gateway/fault"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/proxy"
	"wsauth/internal/gateway/tokens"
	"wsauth/login"
	"wsauth/token"
)

// TestFaultsNameTheirFields checks that each fault names its field.
func TestFaultsNameTheirFields(t *testing.T) {
	_, err := Config{
		Tokens:  tokens.Config{Issuer: "login"},
		Login:   login.Config{AccessTTL: time.Millisecond, RefreshTTL: time.Millisecond, SessionTTL: time.Millisecond, Prefix: "auth/"},
		Front:   front.Config{MaxConnections: -1},
		Origins: []string{"*"},
		Routes: []proxy.Route{
			{Path: "/", Upstreams: []string{"http://127.0.0.1:9000"}},
			{
				Path:        "/",
				Upstreams:   []string{"http://127.0.0.1:9000", "http://user:hunter2@127.0.0.1:9000"},
				Requirement: 9,
				Claims:      map[string][]string{"role": nil},
				Extractors:  []wsauth.Extractor{wsauth.Query{}, wsauth.Ticket{}, wsauth.Header{}, &wsauth.Ticket{}, nil, wsauth.Cookies{MaxAge: -1, Domain: " "}},
				Origins:     []string{"https://app.example", "x"},
				Headers:     map[string]string{"X-User": "sub", "Cookie": "sub"},
				Assertion:   "X_User",
				Limits:      proxy.RouteLimits{Ping: 1, Idle: 1},
				Health:      proxy.Health{Path: "x", Every: 1, Timeout: 1},
				Connect:     -1,
				Response:    -1,
			},
		},
	}.Check()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%v", err)
	}
	var fields []string
	for _, err := range joined.Unwrap() {
		f, ok := err.(*fault.Fault)
		if !ok {
			t.Fatalf("got %T: %v", err, err)
		}
		fields = append(fields, strings.Trim(f.Field+" "+f.Key, " "))
		if strings.ContainsAny(f.Error(), "\n") || strings.Contains(f.Error(), "hunter2") {
			t.Errorf("the fault %q has several lines or a secret", f)
		}
	}
	const second = "Routes[1]."
	want := []string{
		"Tokens.Issuer", "Front.MaxConnections",
		"Login.Keys", "Login.Prefix", "Login.AccessTTL", "Login.RefreshTTL", "Login.SessionTTL", "Login.Origins[0]",
		second + "Upstreams[1]", second + "Requirement", second + "Claims role", second + "Headers Cookie", second + "Assertion",
		second + "Connect", second + "Response", second + "Limits.Ping", second + "Limits.Idle",
		second + "Health.Every", second + "Health.Timeout", second + "Health.Path",
		"Routes[1]", second + "Origins[1]",
		second + "Extractors[0]", second + "Extractors[3]", second + "Extractors[4]", second + "Extractors[5]",
	}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("(- want, + got):\n%s", diff)
	}
}

// TestCheckFillsDefaults checks that Check sets the same defaults as New.
func TestCheckFillsDefaults(t *testing.T) {
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Config{Tokens: tokens.Config{Keys: must(token.NewKeySet(key))}, Routes: []proxy.Route{{Path: "/", Upstreams: []string{"http://127.0.0.1:9000"}}}}.Check()
	if err != nil {
		t.Fatal(err)
	}
	if c.Login.AccessTTL != 15*time.Minute || c.Login.Prefix != "/auth" || c.Routes[0].Headers["X-User"] != "sub" || c.Routes[0].Limits.MaxFrame >= 0 || c.Routes[0].Limits.MaxFragments != 16384 {
		t.Errorf("got %+v, want the defaults of New", c)
	}
}
