package gateway

import (
	"strings"
	"testing"
	"time"

	"wsauth/internal/gateway/demo"
	"wsauth/login"
	"wsauth/token"
)

func TestNewReportsEveryError(t *testing.T) {
	_, err := New(Config{AccessTTL: time.Millisecond, RefreshTTL: time.Microsecond, SessionTTL: time.Nanosecond, RefreshGrace: time.Hour, RefreshRetry: 25 * time.Hour, TicketBurst: -1, TicketRate: login.MaxTicketRate + 1, Origins: []string{"https://app.example", "*"}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, field := range []string{"Config.Keys", "Config.Authenticate", "Config.AccessTTL", "Config.RefreshTTL", "Config.SessionTTL", "Config.RefreshGrace", "Config.RefreshRetry", "Config.TicketBurst", "Config.TicketRate", "Config.Origins[1]"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.Public()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Keys: must(token.NewKeySet(public)), Authenticate: demo.Authenticate}); err == nil || !strings.Contains(err.Error(), "cannot sign") {
		t.Errorf("a public key: %v", err)
	}
	for _, c := range []Config{
		{RefreshTTL: login.MaxTTL, SessionTTL: login.MaxSessionTTL, RefreshGrace: login.MaxRefreshGrace, RefreshRetry: login.MaxRefreshRetry},
		{RefreshTTL: login.MaxTTL}, // longer than the default of SessionTTL
		{RefreshGrace: -time.Hour, RefreshRetry: -time.Hour, MaxSockets: -1},
	} {
		c.Keys, c.Authenticate = must(token.NewKeySet(key)), demo.Authenticate
		g, err := New(c)
		if err != nil {
			t.Errorf("the longest lives: %v", err)
			continue
		}
		stop(t, g)
	}
	if _, err := New(Config{Keys: must(token.NewKeySet(key)), Authenticate: demo.Authenticate, RefreshTTL: login.MaxTTL + time.Second}); err == nil || !strings.Contains(err.Error(), "Config.RefreshTTL") {
		t.Errorf("a longer life: %v", err)
	}
}

// stop ends a gateway that does not serve.
func stop(t *testing.T, g *Gateway) {
	t.Helper()
	if err := g.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
